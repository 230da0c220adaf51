"""The process: what its services share, their start and stop, its descriptors."""
