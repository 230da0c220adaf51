"""Commands beside ``twistd proxy``: ``python -m netappliance COMMAND``, ``twistd conntrack``, ``twistd longterm``."""
