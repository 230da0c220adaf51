"""Routing: patterns, precedence, redirects, and what is checked when a file is loaded."""
