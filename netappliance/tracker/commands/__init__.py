"""``twistd conntrack`` and ``twistd longterm``."""
