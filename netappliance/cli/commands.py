"""``python -m netappliance COMMAND``: small tools beside ``twistd proxy``."""

from __future__ import annotations

import sys
from importlib import import_module

#: command -> (module with main(arguments) -> exit status, what it does)
COMMANDS = {
    "qcmp-ping": ("netappliance.cli.qcmp_ping", "measure the latency to a QCMP service"),
    "hash-password": ("netappliance.cli.hash_password", "make a line of users for kind = basic_auth"),
    "local-certificate": ("netappliance.cli.local_certificate", "make a certificate of this host, to try HTTPS out"),
    "import-quilkin": ("netappliance.cli.import_quilkin", "turn a quilkin.yaml into a configuration of ours"),
}


def main(arguments: list[str]) -> int:
    """Run one command; 2 with the list of them when it is none."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        lines = [f"  {name:<18} {does}" for name, (_, does) in COMMANDS.items()]
        sys.stderr.write("usage: python -m netappliance COMMAND ...\n" + "\n".join(lines) + "\n")
        return 2
    run = import_module(command[0]).main
    status: int = run(arguments[1:])
    return status
