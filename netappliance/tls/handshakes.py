"""How handshakes ended, counted. Pure."""

from __future__ import annotations

from typing import Final

from netappliance.tls.client_hello import REFUSALS

OK: Final = "ok"
#: the client went away, or did not go on
CLOSED: Final = "closed"
TIMEOUT: Final = "timeout"
#: there is nothing to show for the name
NO_CERTIFICATE: Final = "no_certificate"
ALPN: Final = "alpn"
#: the client did not want what it was shown, and said so
ALERT: Final = "alert"
OTHER: Final = "other"

#: parts of OpenSSL's words for a failure -> our word
_WORDS: Final = (
    ("alert", ALERT),
    ("unsupported protocol", "version"),
    ("version too low", "version"),
    ("wrong version", "version"),
    ("no shared cipher", "cipher"),
    ("no ciphers", "cipher"),
    ("no suitable signature", "cipher"),
    ("key share", "group"),
    ("no shared group", "group"),
    ("no suitable groups", "group"),
    ("peer did not return a certificate", "client_certificate"),
    ("certificate verify failed", "client_certificate"),
    ("application protocol", ALPN),
)

#: every value of the label ``result``
RESULTS: Final = (
    OK,
    CLOSED,
    TIMEOUT,
    NO_CERTIFICATE,
    *sorted({word for _, word in _WORDS}),
    OTHER,
    *(refusal.reason for refusal in REFUSALS),
)


def failure_word(why: str) -> str:
    """Return the word of the closed set for OpenSSL's reason of a failure."""
    for part, word in _WORDS:
        if part in why:
            return word
    return OTHER


class HandshakeStatistics:
    """
    What became of the handshakes of one listener.

    :ivar counts: (version ``1.2``, ``1.3`` or ``none``, resumed, result) -> number.
    """

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[tuple[str, bool, str], int] = {}

    def count(self, result: str, version: str = "none", *, resumed: bool = False) -> None:
        """Count one; ``result`` is of :data:`RESULTS`."""
        key = (version, resumed, result)
        self.counts[key] = self.counts.get(key, 0) + 1
