"""What one listener shows to clients that speak TLS: contexts by name, tickets, and what a handshake came to."""

from __future__ import annotations

from collections.abc import Callable
from socket import SocketType
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import DNSName, ExtensionNotFound, RFC822Name, SubjectAlternativeName, UniformResourceIdentifier
from OpenSSL import SSL
from OpenSSL._util import lib
from twisted.logger import Logger

from netappliance.tls import alerts, handshakes
from netappliance.tls.certificates.directory import CertificateSet, prepare
from netappliance.tls.certificates.loading import load_into
from netappliance.tls.certificates.refusals import Refused
from netappliance.tls.certificates.selection import Selection, Served
from netappliance.tls.certificates.statistics import CertificateStatistics
from netappliance.tls.challenges import PROTOCOL, TlsAlpnChallenges
from netappliance.tls.client_hello import ClientHello, HelloRefusal
from netappliance.tls.contexts import server_context
from netappliance.tls.facts import ClientCertificate, TlsFacts
from netappliance.tls.handshakes import HandshakeStatistics
from netappliance.tls.keys import TlsKeys

_log = Logger(__name__)

_VERSIONS = {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}
_ONLY_ACME: Final = (PROTOCOL,)
NOTHING_TO_SHOW = HelloRefusal(
    handshakes.NO_CERTIFICATE, "there is no certificate to show", alerts.fatal_alert(alerts.INTERNAL_ERROR)
)
NO_PROTOCOL = HelloRefusal(
    handshakes.ALPN,
    "none of the client's application protocols is served",
    alerts.fatal_alert(alerts.NO_APPLICATION_PROTOCOL),
)


class TlsServer:
    """
    The server's side of TLS for one section.

    A connection begins with ``_base``, whose key encrypts tickets, and goes on with the context of the certificate that
    its ClientHello asks for.

    :param label: the section in words of the file, for the log. :param keys: its keys.
    :param strict_alpn: refuse clients that offer application protocols, but none of ours.
    :param wall: seconds since 1970. :ivar selection: the certificates; may be replaced at any time.
    :ivar certificates: what is known of their files. :ivar statistics: of its handshakes.
    :ivar challenges: of names whose proof is under way, if anybody proves them.
    :ivar may_be_empty: there may be no certificates yet: somebody puts them there while we run.
    :ivar plain_answer: what a client gets that speaks HTTP without TLS; empty = nothing.
    """

    def __init__(
        self, label: str, keys: TlsKeys, selection: Selection, *, strict_alpn: bool, wall: Callable[[], float]
    ) -> None:
        """:raises ValueError: a setting cannot be had; says why."""
        self.label = label
        self.keys = keys
        self.selection = selection
        self.certificates = CertificateStatistics(CertificateSet(keys.certificates))
        self.statistics = HandshakeStatistics()
        self._strict_alpn = strict_alpn
        self._wall = wall
        self._protocols = frozenset(keys.protocols)
        self.plain_answer = b""
        self.challenges: TlsAlpnChallenges | None = None
        self.may_be_empty = False
        self._base = server_context(keys)
        self._renew_at = 0.0

    def select(self, certificates: CertificateSet) -> Selection:
        """Return the choice among certificates that changed; the contexts of those that did not are kept."""
        credentials, default = certificates.credentials, self.keys.default_certificate
        if self.may_be_empty and not any(default in (each.file, each.name) for each in credentials):
            default = ""
        return Selection(credentials, self._wall(), default, self.selection)

    def begin(self, sock: SocketType, hello: ClientHello, now: float) -> tuple[SSL.Connection, Served] | HelloRefusal:
        """
        Make the connection for a client that said hello; OpenSSL has read nothing yet.

        :param now: monotonic seconds.
        """
        challenges = self.challenges
        if challenges is not None and hello.alpn == _ONLY_ACME:
            proof = challenges.find(hello.server_name)
            if proof is not None:
                proving: Any = sock
                connection = SSL.Connection(proof.context, proving)
                connection.set_accept_state()
                return connection, proof
        if self._strict_alpn and hello.alpn and self._protocols.isdisjoint(hello.alpn):
            return NO_PROTOCOL
        served = self.selection.choose(hello.server_name)
        if served is None:
            return NOTHING_TO_SHOW
        context = served.context
        if context is None:
            context = self._make(served)
            if context is None:
                return NOTHING_TO_SHOW
        if now >= self._renew_at:
            if self._renew_at:
                self._base = server_context(self.keys)
            self._renew_at = now + self.keys.ticket_lifetime_s
        owner: Any = sock
        connection = SSL.Connection(self._base, owner)
        connection.set_context(context)
        connection.set_accept_state()
        return connection, served

    def _make(self, served: Served) -> SSL.Context | None:
        """Make the context of a certificate at its first use, so that ten thousand cost no start ten seconds."""
        context = server_context(self.keys)
        try:
            for credential in served.credentials:
                load_into(context, credential)
        except Refused as error:
            files = ", ".join(credential.file for credential in served.credentials)
            _log.error("{label}: {files}: {why}", label=self.label, files=files, why=error.why)
            return None
        context.set_ocsp_server_callback(self._staple, served)
        served.context = context
        return context

    def _staple(self, connection: SSL.Connection, served: Served | None) -> bytes:
        """Return the OCSP response for the certificate that OpenSSL chose; empty for none."""
        if served is None:
            return b""
        shown = connection.get_certificate(as_cryptography=True) if len(served.credentials) > 1 else None
        for credential in served.credentials:
            if shown is None or credential.certificate == shown:
                return credential.ocsp_response(self._wall()) or b""
        return b""

    def ended(self, connection: SSL.Connection, served: Served, hello: ClientHello) -> TlsFacts | None:
        """Note a handshake that succeeded, and return what it came to; None = a proof, after which nothing comes."""
        version = _VERSIONS.get(connection.get_protocol_version_name(), "none")
        resumed = lib.SSL_session_reused(connection._ssl) == 1  # noqa: SLF001 - pyOpenSSL has no call for it
        self.statistics.count(handshakes.OK, version, resumed=resumed)
        if not served.credentials:
            return None
        return TlsFacts(
            version,
            connection.get_cipher_name() or "",
            connection.get_alpn_proto_negotiated() if self._protocols else b"",
            hello.server_name,
            served.covers,
            resumed=resumed,
            ja4=hello.ja4() if self.keys.ja4 else "",
            client=client_certificate(connection) if self.keys.client_ca else None,
        )


def make_server(
    label: str, keys: TlsKeys, *, strict_alpn: bool, wall: Callable[[], float], may_be_empty: bool = False
) -> TlsServer:
    """
    Read the certificates of a section and return how it ends TLS; see :class:`TlsServer` for what is given.

    :raises CertificateErrors: they cannot be used. :raises ValueError: a setting cannot be had.
    """
    now = wall()
    certificates = prepare(keys.certificates, now, may_be_empty=may_be_empty)
    server = TlsServer(label, keys, Selection((), now), strict_alpn=strict_alpn, wall=wall)
    server.may_be_empty = may_be_empty
    server.certificates = CertificateStatistics(certificates)
    server.selection = server.select(certificates)
    return server


def client_certificate(connection: SSL.Connection) -> ClientCertificate | None:
    """Return who a client proved to be; None for one without a certificate."""
    found = connection.get_peer_certificate(as_cryptography=True)
    if found is None:
        return None
    try:
        names = found.extensions.get_extension_for_class(SubjectAlternativeName).value
    except (ExtensionNotFound, ValueError):
        names = SubjectAlternativeName([])
    return ClientCertificate(
        found.subject.rfc4514_string(),
        found.issuer.rfc4514_string(),
        f"{found.serial_number:x}",
        found.fingerprint(SHA256()).hex(),
        tuple(names.get_values_for_type(DNSName)),
        tuple(names.get_values_for_type(UniformResourceIdentifier)),
        tuple(names.get_values_for_type(RFC822Name)),
    )
