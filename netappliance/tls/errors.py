"""How TLS fails, for those who look at system calls."""

from __future__ import annotations

import errno


class TlsError(OSError):
    """
    TLS failed; ``errno`` is EPROTO.

    :ivar why: OpenSSL's words for it, such as ``wrong version number``.
    """

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPROTO, f"TLS: {why}")
        self.why = why
