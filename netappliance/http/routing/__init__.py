"""Which route a request takes: patterns of hosts and paths, their precedence, routes without a cluster."""
