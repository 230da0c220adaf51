"""The start of a connection that must be a PROXY header."""

from __future__ import annotations

from netappliance.proxy_protocol.header import ProxyHeader, ProxyProtocolError
from netappliance.proxy_protocol.v1 import PREFIX, parse_v1
from netappliance.proxy_protocol.v2 import SIGNATURE, parse_v2


def parse_header(data: bytes) -> tuple[ProxyHeader, int] | None:
    """
    Parse the header at the start of a connection's bytes, of either version.

    :param data: everything received so far.
    :return: (header, its length in bytes), or None while more bytes are needed.
    :raises ProxyProtocolError: as soon as the bytes cannot become a header.
    """
    if data[:1] == SIGNATURE[:1]:
        return parse_v2(data)
    if PREFIX.startswith(data[: len(PREFIX)]) or data.startswith(PREFIX):
        return parse_v1(data)
    raise ProxyProtocolError("neither a version 1 nor a version 2 header")


class HeaderReader:
    """
    Takes the first bytes of a connection until they are a header, or cannot become one.

    It holds at most what a header may have, and one read more.

    :ivar header: what was read; None before. :ivar rest: the bytes that followed it.
    :ivar refusal: why the bytes are no header, in words that are safe to log; empty while they may become one.
    """

    __slots__ = ("_begun", "header", "refusal", "rest")

    def __init__(self) -> None:
        self.header: ProxyHeader | None = None
        self.rest = b""
        self.refusal = ""
        self._begun = b""

    def feed(self, data: bytes) -> bool:
        """
        Take bytes, in pieces as they come.

        :return: True when it is decided: there is a ``header`` or a ``refusal``; False while more is needed.
        """
        self._begun += data
        try:
            parsed = parse_header(self._begun)
        except ProxyProtocolError as error:
            self.refusal = str(error)
            return True
        if parsed is None:
            return False
        self.header, length = parsed
        self.rest = self._begun[length:]
        self._begun = b""
        return True
