"""What a handshake agreed on, and who the client proved to be. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quote

#: characters of a text that a client chose which go into a log line
_MAX_TEXT = 255


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """
    A client's certificate that was verified.

    :ivar subject: distinguished name (RFC 4514). :ivar fingerprint: SHA-256 of the certificate, in hexadecimal.
    :ivar dns, uris, emails: of subjectAltName. :ivar serial: in hexadecimal.
    """

    subject: str
    issuer: str
    serial: str
    fingerprint: str
    dns: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()

    def forwarded(self) -> bytes:
        """
        Return the value of X-Forwarded-Client-Cert, as Envoy writes it: ``Hash=...;Subject="...";URI=...;DNS=...``.

        What has no place in a field value is percent-encoded.
        """
        parts = [f"Hash={self.fingerprint}", f'Subject="{_quoted(self.subject)}"']
        parts += [f"URI={_bare(uri)}" for uri in self.uris]
        parts += [f"DNS={_bare(name)}" for name in self.dns]
        return ";".join(parts).encode("ascii")


def _encoded(text: str, keep: Callable[[str], bool]) -> str:
    return "".join(
        char if keep(char) else "".join(f"%{octet:02X}" for octet in char.encode("utf-8", "surrogateescape"))
        for char in text
    )


def _quoted(text: str) -> str:
    return _encoded(text, lambda char: " " <= char <= "~" and char not in '"%\\')


def _bare(text: str) -> str:
    return _encoded(text, lambda char: "!" <= char <= "~" and char not in '",;=%\\')


class TlsFacts:
    """
    One connection's TLS, after the handshake.

    :ivar version: ``1.2`` or ``1.3``. :ivar cipher: OpenSSL's name. :ivar alpn: the protocol that was chosen, or empty.
    :ivar server_name: what the client asked for, lower case, or empty. :ivar resumed: an earlier session went on.
    :ivar ja4: the client's fingerprint where it was wanted. :ivar client: its verified certificate, or None.
    :ivar covers: says whether the certificate that was served is one for a host.
    """

    __slots__ = (
        "_log_text",
        "alpn",
        "cipher",
        "client",
        "covered",
        "covers",
        "ja4",
        "resumed",
        "server_name",
        "version",
    )

    def __init__(
        self,
        version: str,
        cipher: str,
        alpn: bytes,
        server_name: bytes,
        covers: Callable[[bytes], bool],
        *,
        resumed: bool = False,
        ja4: str = "",
        client: ClientCertificate | None = None,
    ) -> None:
        self.version = version
        self.cipher = cipher
        self.alpn = alpn
        self.server_name = server_name
        self.covers = covers
        self.resumed = resumed
        self.ja4 = ja4
        self.client = client
        #: the last host that the certificate was found to cover
        self.covered = b""
        self._log_text = ""

    def serves(self, host: bytes) -> bool:
        """Say whether a request for a host may use this connection; hosts of a connection are alike, so it is cheap."""
        if host == self.covered:
            return True
        if not self.covers(host):
            return False
        self.covered = host
        return True

    def described(self) -> dict[str, str]:
        """Return the facts as text, for logs and the manhole; without those that there are none of."""
        found = {
            "tls": self.version,
            "cipher": self.cipher,
            "alpn": self.alpn.decode("ascii", "replace"),
            "sni": self.server_name.decode("ascii", "replace"),
            "resumed": "yes" if self.resumed else "",
            "ja4": self.ja4,
            "client_certificate": self.client.subject[:_MAX_TEXT] if self.client is not None else "",
        }
        return {name: text for name, text in found.items() if text}

    def log_text(self) -> str:
        """Return the facts as members of a JSON object, each with a comma behind it."""
        if not self._log_text:
            self._log_text = "".join(f'"{name}":{quote(text)},' for name, text in self.described().items())
        return self._log_text
