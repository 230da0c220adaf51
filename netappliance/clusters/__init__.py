"""Clusters of backends: balancing, back-off, resolution."""
