"""``python -m netappliance hash-password USER``: prints a line of ``users`` for ``kind = basic_auth``."""

from __future__ import annotations

import base64
import getpass
import hashlib
import os
import sys

from netappliance.http.passwords import USER

#: about 45 ms and 16 MiB for each check
LN, R, P = 14, 8, 1


def scrypt_line(user: str, password: bytes, salt: bytes) -> str:
    """Return ``user:$scrypt$...``; ``salt`` is 16 random bytes."""
    digest = hashlib.scrypt(password, salt=salt, n=2**LN, r=R, p=P, maxmem=64 * 1024 * 1024, dklen=32)
    text = [base64.b64encode(piece).decode().rstrip("=") for piece in (salt, digest)]
    return f"{user}:$scrypt$ln={LN},r={R},p={P}${text[0]}${text[1]}"


def main(arguments: list[str]) -> int:
    """Read the password from the terminal, twice and unseen, or else the first line of standard input."""
    if len(arguments) != 1 or arguments[0].startswith(("-", "#", ";")) or not USER.fullmatch(arguments[0]):
        sys.stderr.write("usage: python -m netappliance hash-password USER (no spaces, colons; no # or ; in front)\n")
        return 2
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            sys.stderr.write("the two differ\n")
            return 1
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password or not password.isprintable():
        sys.stderr.write("a password of printable characters is needed\n")
        return 1
    sys.stdout.write(scrypt_line(arguments[0], password.encode(), os.urandom(16)) + "\n")
    return 0
