"""
What a backend is told about the client: X-Forwarded-*, Forwarded (RFC 7239), X-Real-IP, X-Request-Id, session id, and
the certificate that it proved who it is with.

Fields of that kind from the client are believed when it is a trusted proxy, and replaced otherwise. Sans-I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from netappliance.config.values import Network
from netappliance.http.message import Request
from netappliance.sessions.session import Address, ip_of, is_unix

#: kinds of fields, for the key ``identity_headers``
KINDS = ("x-forwarded", "forwarded", "x-real-ip", "x-request-id", "x-forwarded-client-cert")
_CLIENT_CERT = b"x-forwarded-client-cert"
_NAMES = {
    "x-forwarded": (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host"),
    "forwarded": (b"forwarded",),
    "x-real-ip": (b"x-real-ip",),
    "x-request-id": (b"x-request-id",),
    "x-forwarded-client-cert": (_CLIENT_CERT,),
}
#: addresses of a chain that are looked at, from its end
_MAX_CHAIN = 64
#: an element of X-Forwarded-For, or the ``for`` of Forwarded: an address, some proxies write the port as well
_NODE = re.compile(
    rb"[ \t]*(?:\[([0-9A-Fa-f:.]{2,45})\](?::\d{1,5})?|([0-9.]{7,15})(?::\d{1,5})?|([0-9A-Fa-f:.]{2,45}))[ \t]*"
)
_FOR = re.compile(rb"(?:^|;)[ \t]*for=(\"?)([^\";]*)\1[ \t]*(?:;|$)", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


def written_names(kinds: Sequence[str], session_header: str) -> frozenset[bytes]:
    """Return the names (lower case) of the fields that a listener with these keys writes into every request."""
    names = [name for kind in kinds for name in _NAMES[kind]]
    return frozenset([*names, session_header.lower().encode()] if session_header else names)


class IdentityRules:
    """
    The rules of one listener.

    :param kinds: of :data:`KINDS`. :param session_header: name of the field with the session's id, or empty.
    :param trusted: networks of proxies that are believed. :param secure: the listener speaks TLS.
    """

    def __init__(
        self, kinds: Sequence[str], session_header: bytes, trusted: Sequence[Network], *, secure: bool = False
    ) -> None:
        self.x_forwarded = "x-forwarded" in kinds
        self.forwarded = "forwarded" in kinds
        self.real_ip = "x-real-ip" in kinds
        self.request_id = "x-request-id" in kinds
        self.client_cert = "x-forwarded-client-cert" in kinds
        self.session_header = session_header
        self.trusted = tuple(trusted)
        self.proto = b"https" if secure else b"http"

    def trusts(self, address: str) -> bool:
        """True for the address of a trusted proxy."""
        if not self.trusted:
            return False
        parsed = ip_of(address)
        return parsed is not None and any(parsed in network for network in self.trusted)


class ClientIdentity:
    """
    One connection's part of the fields.

    :param certificate: of the client, written by :meth:`netappliance.tls.facts.ClientCertificate.forwarded`; or empty.
    :ivar trusted: the peer is a trusted proxy. :ivar constant: the lines that are the same for each of its requests.
    """

    __slots__ = ("_certified", "_forwarded", "_peer", "_port", "_rules", "constant", "trusted")

    def __init__(
        self, rules: IdentityRules, client: Address, local: Address, session_id: bytes, certificate: bytes = b""
    ) -> None:
        self._rules = rules
        # whoever connects to a unix socket chooses the path of its own end
        self._peer = "" if is_unix(client[0]) else client[0]
        self._port = b"%d" % local[1]
        self.trusted = rules.trusts(client[0])
        self._forwarded = b"for=%b;proto=%b;by=%b" % (_node(client[0]), rules.proto, _node(local[0]))
        lines = [] if self.trusted else self._lines({}, self._peer)
        if rules.session_header:
            lines.append(rules.session_header + b": " + session_id)
        self._certified = rules.client_cert and bool(certificate)
        if self._certified:
            lines.append(b"X-Forwarded-Client-Cert: " + certificate)
        self.constant = b"\r\n".join(lines)

    def _lines(self, given: dict[bytes, bytes], believed: str) -> list[bytes]:
        rules = self._rules
        lines: list[bytes] = []
        peer = self._peer.encode()
        if rules.x_forwarded and peer:
            chain = given.pop(b"x-forwarded-for", b"")
            lines.append(b"X-Forwarded-For: " + (chain + b", " + peer if chain else peer))
            lines.append(b"X-Forwarded-Proto: " + given.pop(b"x-forwarded-proto", rules.proto))
            lines.append(b"X-Forwarded-Port: " + given.pop(b"x-forwarded-port", self._port))
        if rules.forwarded:
            chain = given.pop(b"forwarded", b"")
            lines.append(b"Forwarded: " + (chain + b", " + self._forwarded if chain else self._forwarded))
        if rules.real_ip and believed:
            given.pop(b"x-real-ip", None)
            lines.append(b"X-Real-IP: " + believed.encode())
        return lines

    def write(self, parts: list[bytes], request: Request, request_id: bytes) -> None:
        """Append the field lines for a request to ``parts``."""
        rules = self._rules
        host = request.forwarded_host or request.authority
        if self.trusted:
            given = _merged(request.identity or [])
            host = given.pop(b"x-forwarded-host", host)
            given.pop(b"x-request-id", None)
            given.pop(rules.session_header.lower(), None)
            if self._certified:
                given.pop(_CLIENT_CERT, None)
            parts += self._lines(given, self.believed(request))
            parts += [name + b": " + value for name, value in given.items()]
        if self.constant:
            parts.append(self.constant)
        if rules.x_forwarded and host:
            parts.append(b"X-Forwarded-Host: " + host)
        if rules.request_id:
            parts.append(b"X-Request-Id: " + request_id)

    def believed(self, request: Request) -> str:
        """
        Return the client's address, empty for a unix socket.

        Of a trusted proxy it is the last one in the chain of X-Forwarded-For (or, where there is none, of Forwarded)
        that is no trusted proxy itself; what is no address, such as ``unknown``, ends the chain.
        """
        if not self.trusted or not request.identity:
            return self._peer
        address = self._peer
        for item in reversed(_chain(_merged(request.identity))):
            found = _address(item)
            if not found:
                break
            address = found
            if not self._rules.trusts(address):
                break
        return address

    def secure(self, request: Request) -> bool:
        """Say whether the client speaks TLS; a trusted proxy may have taken it off and tell so by X-Forwarded-Proto."""
        if self.trusted and request.identity:
            proto = _merged(request.identity).get(b"x-forwarded-proto", b"").partition(b",")[0].strip(b" \t").lower()
            if proto in (b"http", b"https"):
                return proto == b"https"
        return self._rules.proto == b"https"

    def request_id(self, request: Request) -> bytes:
        """Return the request's id that a trusted proxy gave, or empty."""
        if self.trusted and request.identity:
            for name, value in request.identity:
                if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                    return value
        return b""


def _merged(identity: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    merged: dict[bytes, bytes] = {}
    for name, value in identity:
        merged[name] = merged[name] + b", " + value if name in merged else value
    return merged


def _chain(given: dict[bytes, bytes]) -> list[bytes]:
    chain = given.get(b"x-forwarded-for")
    if chain is not None:
        return chain.split(b",")[-_MAX_CHAIN:]
    # a comma in a quoted string makes pieces that are no elements: they end the chain
    found = map(_FOR.search, given.get(b"forwarded", b"").split(b",")[-_MAX_CHAIN:])
    return [b"" if match is None else match[2] for match in found]


def _address(item: bytes) -> str:
    """Return the IP address of an element of a chain; empty for what is none."""
    match = _NODE.fullmatch(item)
    address = ip_of((match[1] or match[2] or match[3]).decode()) if match is not None else None
    return "" if address is None else str(address)


def _node(address: str) -> bytes:
    """Return an address as a node of Forwarded (RFC 7239 section 6)."""
    if is_unix(address):
        return b"unknown"
    return b'"[%b]"' % address.encode() if ":" in address else address.encode()
