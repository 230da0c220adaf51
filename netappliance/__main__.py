"""``python -m netappliance COMMAND``: see :mod:`netappliance.cli.commands`."""

from __future__ import annotations

import sys

from netappliance.cli.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
