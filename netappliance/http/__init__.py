"""The HTTP/1.1 reverse proxy: framing, streams, exchanges, routing, filters, answers."""
