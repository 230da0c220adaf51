"""
What is asked of an authority, and how it fails. Its methods block: they are called in a thread of their own.

:mod:`netappliance.acme.library` has the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

OK: Final = "ok"
#: the authority did not find the proof, or does not issue for such names
REFUSED: Final = "refused"
RATE_LIMITED: Final = "rate_limited"
#: no connection, a certificate of the directory that is not trusted, silence
UNREACHABLE: Final = "unreachable"
#: it answered with an error of its own, or with something that makes no sense
AUTHORITY: Final = "authority"
TIMEOUT: Final = "timeout"
#: ours: the store could not be written, or a bug
INTERNAL: Final = "internal"
#: how an order ends
RESULTS: Final = (OK, REFUSED, RATE_LIMITED, UNREACHABLE, AUTHORITY, TIMEOUT, INTERNAL)


class AuthorityError(Exception):
    """
    An order that failed.

    :ivar result: one of :data:`RESULTS`. :ivar retry_after_s: what the authority asked for, 0 = nothing.
    """

    def __init__(self, result: str, why: str, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.result = result
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Challenge:
    """One name to prove: ``token`` and ``key_authorization`` as in RFC 8555 section 8.1."""

    name: str
    token: str
    key_authorization: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order under way; ``challenges`` are those of names that the authority has not validated lately."""

    challenges: tuple[Challenge, ...]
    under_way: Any


class Authority(Protocol):
    """An account at an authority."""

    def order(self, names: Sequence[str], request: bytes) -> Order:
        """
        Order a certificate.

        :param request: PEM of the signing request.
        :raises AuthorityError: it is not to be had.
        """

    def complete(self, order: Order) -> str:
        """
        Have the challenges validated, which must be answered by now, and the certificate issued.

        :return: PEM of the chain, leaf first. :raises AuthorityError: it is not to be had.
        """


class Proofs(Protocol):
    """
    Where challenges of one kind are answered; called in the reactor's thread.

    :ivar answered_total: how often one was asked for, and answered.
    """

    answered_total: int

    def present(self, name: str, token: str, key_authorization: str) -> None:
        """Answer a challenge from now on."""

    def withdraw(self, name: str, token: str) -> None:
        """Answer it no more."""
