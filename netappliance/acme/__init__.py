"""Certificates from an authority that speaks ACME (RFC 8555): ordered, proven, renewed."""
