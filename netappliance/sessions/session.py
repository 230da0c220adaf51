"""What every session has, whatever it carries."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mypy_extensions import mypyc_attr

from netappliance.sessions.reasons import CloseReason
from netappliance.tls.facts import TlsFacts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import SocketType

    from netappliance.clusters.backend import Backend

Kind = Literal["udp", "tcp", "http", "https", "websocket"]
#: (host, port) as text and int for IP; (path, 0) for a unix socket, whose client has the empty path.
Address = tuple[str, int]


@mypyc_attr(allow_interpreted_subclasses=True)
class Session:
    """
    One conversation between a client and a backend.

    Counters are plain integers, written by the data path and read by whoever looks. rx is received from the backend,
    tx is sent to the backend. ``started`` and ``last_active`` are monotonic seconds.
    """

    __slots__ = (
        "backend",
        "backend_address",
        "client",
        "close_reason",
        "cluster",
        "duration",
        "id",
        "kind",
        "last_active",
        "listener",
        "local",
        "notes",
        "rx_bytes",
        "rx_packets",
        "started",
        "state",
        "tls",
        "tx_bytes",
        "tx_packets",
    )

    #: the access log has a line for it when it ends
    logged: ClassVar[bool] = True

    def __init__(self, kind: Kind, listener: str, client: Address, local: Address, now: float) -> None:
        self.id = 0
        self.kind: Kind = kind
        self.listener = listener
        self.client = client
        self.local = local
        self.cluster = ""
        self.backend: Backend | None = None
        self.backend_address: Address | None = None
        self.started = now
        self.last_active = now
        self.duration = 0.0
        self.rx_bytes = 0
        self.tx_bytes = 0
        self.rx_packets = 0
        self.tx_packets = 0
        self.state = "new"
        self.close_reason: CloseReason | None = None
        #: what observers and filters want to say in the logs: field name -> value; None until one does.
        self.notes: dict[str, Any] | None = None
        #: what the handshake with the client came to; None without TLS.
        self.tls: TlsFacts | None = None

    def refresh(self) -> None:
        """Bring counters and ``last_active`` up to date from wherever the hot path keeps them."""

    def close(self, reason: CloseReason) -> None:
        """End the session now and give its descriptors back; a second call changes nothing."""
        raise TypeError(f"{type(self).__name__} does not say how it ends")

    def sockets(self) -> Sequence[SocketType]:
        """Return the connected sockets that carry the session now, so that it is found in the kernel's tables."""
        return ()

    def describe(self) -> dict[str, Any]:
        """Return the session as plain values, for logs and the manhole; addresses as ``host:port`` text."""
        self.refresh()
        reason = self.close_reason
        return {
            "id": self.id,
            "kind": self.kind,
            "listener": self.listener,
            "client": format_address(self.client),
            "local": format_address(self.local),
            "cluster": self.cluster,
            "backend": self.backend.id if self.backend is not None else "",
            "backend_address": format_address(self.backend_address) if self.backend_address else "",
            "state": self.state,
            "rx_bytes": self.rx_bytes,
            "tx_bytes": self.tx_bytes,
            "rx_packets": self.rx_packets,
            "tx_packets": self.tx_packets,
            "reason": str(reason) if reason is not None else "",
            **(self.tls.described() if self.tls is not None else {}),
        }


def unix_address(path: bytes) -> Address:
    """
    Return the address of a unix socket: its path, or NUL and an abstract name; what is no UTF-8 is escaped.

    The other end chooses its own, so a relative one gets ``./`` in front, or it could look like an IP address.
    """
    text = path.decode("utf-8", "backslashreplace")
    return (text if text[:1] in ("", "/", "\0") else f"./{text}"), 0


def is_unix(host: str) -> bool:
    """Say whether this is the first part of a unix socket's address, which may hold any character."""
    return not host or host.startswith(("/", "\0", "./"))


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address; a v4-mapped one as IPv4, without scope; None for a unix socket and what is no address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def format_address(address: Address) -> str:
    """Return ``1.2.3.4:80``, ``[::1]:80``, or the path of a unix socket (``unix:`` when it has none)."""
    host, port = address
    if not port and is_unix(host):
        return f"unix:{host}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
