"""Exchanges: from a request to its response, between two streams."""
