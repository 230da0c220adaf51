"""From a request's bytes at a client's connection to its response there: connections, exchanges, bodies, tunnels."""
