"""TCP reverse proxy with the PROXY protocol."""
