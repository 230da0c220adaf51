"""Small backends in the same process, so that the shipped configuration does something with nothing else installed."""
