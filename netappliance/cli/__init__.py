"""``python -m netappliance COMMAND``: small tools beside ``twistd proxy``."""
