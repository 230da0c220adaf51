"""What a PROXY header says, and the ways it can be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netappliance.sessions.session import Address

#: bytes of a version 2 header with its TLVs. The field allows 65 551; real ones (addresses, TLS details, cloud ids)
#: stay below 1 KiB, and every waiting client may make us hold this much.
MAX_V2 = 4096


class ProxyProtocolError(Exception):
    """The bytes are no PROXY header; the message is short, of our own words, and safe to log."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """
    A parsed header.

    :ivar command: LOCAL is the sender's own connection (a health check): its addresses must not be used.
    :ivar family: ``inet``, ``inet6``, ``unix`` or ``unspec``. :ivar transport: ``stream``, ``dgram`` or ``unspec``.
    :ivar source: the client's address, or None when the header does not say. :ivar destination: where the client
        connected to.
    :ivar tlvs: (type, value) in order, version 2 only. :ivar raw: the header's bytes as they came.
    """

    version: Literal[1, 2]
    command: Literal["PROXY", "LOCAL"]
    family: Literal["inet", "inet6", "unix", "unspec"]
    transport: Literal["stream", "dgram", "unspec"]
    source: Address | None
    destination: Address | None
    tlvs: tuple[tuple[int, bytes], ...]
    raw: bytes
