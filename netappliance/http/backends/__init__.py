"""The backends' side: connections that are kept and shared, and which backend a request prefers."""
