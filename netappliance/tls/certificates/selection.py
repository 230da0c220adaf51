"""Which certificate is shown to a client, by the name that it asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netappliance.tls.certificates.credential import Credential
from netappliance.tls.certificates.names import canonical_host


class Coverage:
    """The hosts that a certificate is for: exact names, wildcards of one label, addresses."""

    __slots__ = ("_exact", "_parents")

    def __init__(self, credential: Credential) -> None:
        self._exact = frozenset(credential.names) | credential.addresses
        self._parents = frozenset(name[2:] for name in credential.names if name[:2] == b"*.")

    def has(self, host: bytes) -> bool:
        """Say whether a host, as :func:`canonical_host` returns it, is among them."""
        if host in self._exact:
            return True
        label, _, parent = host.partition(b".")
        return bool(label) and parent in self._parents


class Served:
    """
    What is shown for a name: a certificate, or one of each kind of key side by side, of which OpenSSL chooses the one
    that the client can verify.

    :ivar credentials: ECDSA before RSA. :ivar context: what the owner made of them; its own business.
    """

    __slots__ = ("_coverages", "context", "credentials")

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        self.credentials = credentials
        self.context: Any = None
        self._coverages = [Coverage(each) for each in credentials]

    def covers(self, host: bytes) -> bool:
        """
        Say whether the certificate that was shown is for this host, whichever of the two it was (RFC 9110 section 7.4).

        :param host: a name or an address, without a port; an IPv6 address may stand in brackets.
        """
        host = canonical_host(host)
        return all(coverage.has(host) for coverage in self._coverages)


class Selection:
    """
    Chooses by SNI: the exact name, else the wildcard of one label, else the default.

    Of several certificates of one kind for a name, the one that is valid the longest is shown, those that are not
    valid now after those that are.

    :ivar default: shown where no name fits; None only when there are no credentials at all. :ivar served: everything
        that may be shown, each once. :ivar stale_at: when the choice may be another one because a certificate becomes
        valid, in seconds since 1970; infinite if never.
    """

    __slots__ = ("_exact", "_wildcards", "default", "served", "stale_at")

    def __init__(
        self, credentials: Iterable[Credential], now: float, default: str = "", previous: Selection | None = None
    ) -> None:
        """
        Build the look-up.

        :param now: seconds since 1970. :param default: the file whose certificate is the default, with or without
            .pem; empty: the first in the order of names. :param previous: what this one replaces: :class:`Served` of
            the same credentials stay the same objects, with their contexts.
        :raises ValueError: the default is none of the files.
        """
        ranked = sorted(credentials, key=lambda each: each.file)
        self.stale_at = min((each.not_before for each in ranked if each.not_before > now), default=float("inf"))
        known: dict[tuple[Credential, ...], Served] = {}
        if previous is not None:
            known = {each.credentials: each for each in previous.served}
        best: dict[bytes, dict[str, Credential]] = {}
        for credential in ranked:
            for name in credential.names:
                kinds = best.setdefault(name, {})
                other = kinds.get(credential.kind)
                if other is None or _rank(credential, now) > _rank(other, now):
                    kinds[credential.kind] = credential
        self._exact: dict[bytes, Served] = {}
        self._wildcards: dict[bytes, Served] = {}
        made: dict[tuple[Credential, ...], Served] = {}
        for name, kinds in best.items():
            served = _served(kinds, made, known)
            if name[:2] == b"*.":
                self._wildcards[name[2:]] = served
            else:
                self._exact[name] = served
        self.default: Served | None = None
        if ranked or default:
            chosen = _named(ranked, default)
            kinds = {**best.get(chosen.names[0], {})} if chosen.names else {}
            kinds[chosen.kind] = chosen
            self.default = _served(kinds, made, known)
        self.served: tuple[Served, ...] = tuple(made.values())

    def find(self, server_name: bytes) -> Served | None:
        """Return what is shown for a name, None where nothing fits; the cost does not grow with the number."""
        name = canonical_host(server_name)
        found = self._exact.get(name)
        if found is None:
            label, _, parent = name.partition(b".")
            if label:
                found = self._wildcards.get(parent)
        return found

    def choose(self, server_name: bytes) -> Served | None:
        """Return what is shown to a client. :param server_name: of its ClientHello (RFC 6066); empty without one."""
        return self.find(server_name) or self.default


def _rank(credential: Credential, now: float) -> tuple[bool, float]:
    return credential.valid_at(now), credential.not_after


def _served(
    kinds: dict[str, Credential],
    made: dict[tuple[Credential, ...], Served],
    known: dict[tuple[Credential, ...], Served],
) -> Served:
    credentials = tuple(kinds[kind] for kind in ("ecdsa", "rsa") if kind in kinds)
    served = made.get(credentials)
    if served is None:
        served = made[credentials] = known.get(credentials) or Served(credentials)
    return served


def _named(ranked: list[Credential], default: str) -> Credential:
    if not default:
        return ranked[0]
    for credential in ranked:
        if credential.is_called(default):
            return credential
    files = ", ".join(each.name for each in ranked) or "none"
    raise ValueError(f"the name of a file of the directory ({files})")
