"""The bearer token of the admin endpoint (RFC 6750 section 2.1): asked for by everything that changes state."""

from __future__ import annotations

import hmac
import os
import stat
from pathlib import Path

from netappliance.errors import StartError

MIN_TOKEN_CHARS = 16
MAX_TOKEN_CHARS = 4096


class TokenGuard:
    """
    Compares bearer tokens in constant time.

    :param token: the expected one, or None when every caller of the endpoint is trusted (loopback or unix socket only).
    """

    __slots__ = ("_token",)

    def __init__(self, token: bytes | None) -> None:
        self._token = token

    def allows(self, authorization: bytes | None) -> bool:
        """:param authorization: the value of the Authorization header, None when there was none."""
        if self._token is None:
            return True
        scheme, _, offered = (authorization or b"").strip().partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(offered.strip(), self._token)


def load_token(path: str) -> bytes:
    """
    The token in a file: one line of 16 to 4096 visible ASCII characters, readable by its owner (and group) only.

    :raises StartError: missing, unreadable, readable by everybody, too short, too long or of other characters.
    """
    try:
        with Path(path).open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            token = stream.read(MAX_TOKEN_CHARS + 2).strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StartError(f"[admin] token_file: cannot read {path}: {why}") from error
    if mode & 0o007:
        raise StartError(f"[admin] token_file: {path} is open to everybody (mode {mode:04o}; expected 0600 or 0640)")
    if not MIN_TOKEN_CHARS <= len(token) <= MAX_TOKEN_CHARS:
        raise StartError(f"[admin] token_file: {path} holds {len(token)} characters "
                         f"(expected {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS})")  # fmt: skip
    if not all(33 <= character <= 126 for character in token):
        raise StartError(f"[admin] token_file: {path} holds more than one line of visible ASCII")
    return token
