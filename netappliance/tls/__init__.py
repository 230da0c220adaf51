"""TLS as far as it is more than bytes that are moved: what clients say first, certificates, keys, backends."""
