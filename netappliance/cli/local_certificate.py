"""``python -m netappliance local-certificate [DIRECTORY]``: a certificate of this host, to try HTTPS out."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timezone

from netappliance.errors import StartError
from netappliance.tls.certificates.directory import AUTHORITY
from netappliance.tls.certificates.local import ADDRESSES, DNS_NAME, LEAF, ensure_local_certificate

DIRECTORY = "var/tls"


def main(arguments: list[str]) -> int:
    """Make it where there is none, or none that is valid for another week; 1 where that fails."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write(f"usage: python -m netappliance local-certificate [DIRECTORY, else {DIRECTORY}]\n")
        return 2
    directory = arguments[0] if arguments else DIRECTORY
    try:
        made, ends = ensure_local_certificate(directory, datetime.fromtimestamp(time.time(), timezone.utc))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if made:
        names = ", ".join((DNS_NAME, *ADDRESSES))
        sys.stdout.write(
            f"{directory}/{LEAF}: for {names}, until {ends:%Y-%m-%d}; clients trust it with {directory}/{AUTHORITY}\n"
        )
    return 0
