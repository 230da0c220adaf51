"""The life of every session: reasons, counters, the live table, limits and observers."""
