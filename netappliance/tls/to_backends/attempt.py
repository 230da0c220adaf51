"""What OpenSSL asks during a handshake with a backend, and what was found."""

from __future__ import annotations

from OpenSSL import SSL
from OpenSSL.crypto import X509

from netappliance.tls.to_backends.verification import (
    BAD_CERTIFICATE,
    Identity,
    judge_chain,
    judge_failure,
    judge_name,
    printable,
)


class Attempt:
    """
    What is known of one handshake; its connection has it as its ``app_data``.

    :ivar identity: what the certificate must be for; None = anything. :ivar host: the same as text.
    :ivar full: certificates were shown; False = a session is resumed. :ivar verdict: result and sentence when they
        were refused.
    """

    __slots__ = ("full", "host", "identity", "verdict")

    def __init__(self, identity: Identity | None, host: str) -> None:
        self.identity = identity
        self.host = host
        self.full = False
        self.verdict: tuple[str, str] | None = None

    def verified(self, _: SSL.Connection, certificate: X509, code: int, depth: int, ok: int) -> bool:
        """
        Called by OpenSSL for each certificate of a chain, the backend's own last.

        :param code: X509_V_ERR_*, when ``ok`` is 0. :param depth: 0 for the backend's own.
        :return: True to go on; False ends the handshake, and the backend is told.
        """
        self.full = True
        if self.identity is None:
            return True
        try:
            if not ok:
                self.verdict = judge_chain(code, depth, certificate.to_cryptography())
            elif depth == 0:
                self.verdict = judge_name(certificate.to_cryptography(), self.identity, self.host)
        except Exception as error:  # noqa: BLE001 - each malformed certificate has its own way to be unreadable
            self.verdict = BAD_CERTIFICATE, f"its certificate is malformed: {printable(str(error))}"
        return self.verdict is None

    def outcome(self, error: OSError) -> tuple[str, str]:
        """Return result and sentence of the handshake, which failed; ``error`` as for :func:`judge_failure`."""
        return self.verdict or judge_failure(error)


def verified(connection: SSL.Connection, certificate: X509, code: int, depth: int, ok: int) -> bool:
    """As :meth:`Attempt.verified`, for all connections of a context."""
    attempt = connection.get_app_data()
    return isinstance(attempt, Attempt) and attempt.verified(connection, certificate, code, depth, ok)
