"""The HTTP/1.1 reverse proxy: framing, routing, filters, forwarding, answers."""
