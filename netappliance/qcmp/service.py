"""The ping service: one answer for each good ping, within the client's rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from socket import SocketType
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.application.service import Service

from netappliance.dataplane.datagrams import ANCILLARY_SIZE, listen_udp, reply_from
from netappliance.dataplane.sockets import peer_address
from netappliance.errors import cannot_listen
from netappliance.qcmp.packet import PING_SIZE, Ping, QcmpError, Reply, decode
from netappliance.udp.datagram import Datagram
from netappliance.udp.filters.rate_limit import RateLimit
from netappliance.udp.filters.sections.rate_limit import RateLimitSection

if TYPE_CHECKING:
    from netappliance.dataplane.poller import Poller
    from netappliance.qcmp.section import QcmpSection


class QcmpService(Service):
    """
    :ivar packets, bytes: received, by ``valid``, ``invalid``, ``unsupported`` (a reply sent to us) and ``limited``.
    :ivar errors: by :class:`netappliance.qcmp.packet.Refusal`, and ``send``.
    """

    #: datagrams in one turn
    BUDGET = 64

    def __init__(self, section: QcmpSection, poller: Poller, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self.name = f"qcmp {section.name}"
        self.section = section
        self.packets: dict[str, int] = dict.fromkeys(("valid", "invalid", "unsupported", "limited"), 0)
        self.bytes: dict[str, int] = dict.fromkeys(self.packets, 0)
        self.errors: dict[str, int] = {}
        self._poller = poller
        self._wall_ns = wall_ns
        limit = RateLimitSection(
            name=section.name, kind="rate_limit", max_packets=section.max_packets, max_clients=section.max_clients
        )
        self._limit = RateLimit(limit)
        self._datagram = Datagram()
        self._sockets: list[SocketType] = []

    def privilegedStartService(self) -> None:
        """
        Bind.

        :raises StartError: names the section, the endpoint and what the kernel said.
        """
        super().privilegedStartService()
        for endpoint in self.section.listen:
            try:
                self._sockets.append(listen_udp(endpoint.host, endpoint.port))
            except OSError as error:
                raise cannot_listen(f"[{self.name}]", endpoint.text, error) from None

    def startService(self) -> None:
        """Answer."""
        super().startService()
        for sock in self._sockets:
            self._poller.add(sock.fileno(), self._reader(sock), level=True)

    def stopService(self) -> None:
        """Close."""
        super().stopService()
        for sock in self._sockets:
            self._poller.close(sock)
        self._sockets.clear()

    def _reader(self, sock: SocketType) -> Callable[[int], None]:
        def ready(_mask: int) -> None:
            for _ in range(self.BUDGET):
                try:
                    data, ancillary, _flags, source = sock.recvmsg(2048, ANCILLARY_SIZE)
                except BlockingIOError:
                    return
                except OSError:
                    self._count_error("receive")
                    continue
                answer = self.answer(data, peer_address(source)[0], self._poller.now)
                if answer is None:
                    continue
                try:
                    sock.sendmsg([answer], reply_from(ancillary), 0, source)
                except OSError:
                    self._count_error("send")

        return ready

    def answer(self, data: bytes, host: str, now: float) -> bytes | None:
        """Return the reply to one datagram from ``host``, or None; counts it in either case."""
        received = self._wall_ns()
        try:
            packet = decode(data[: PING_SIZE * 4])
        except QcmpError as error:
            self._count_error(error.refusal.value)
            return self._count("invalid", data)
        if not isinstance(packet, Ping):
            return self._count("unsupported", data)
        self._datagram.source = (host, 0)
        self._datagram.now = now
        if self._limit.read(self._datagram) is not None:
            return self._count("limited", data)
        self._count("valid", data)
        return Reply(packet.nonce, packet.sent_ns, received, self._wall_ns()).encode()

    def _count(self, kind: str, data: bytes) -> bytes | None:
        self.packets[kind] += 1
        self.bytes[kind] += len(data)
        return None

    def _count_error(self, reason: str) -> None:
        self.errors[reason] = self.errors.get(reason, 0) + 1


class QcmpCollector(Collector):
    """One service's numbers, read at scrape time."""

    def __init__(self, service: QcmpService) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        service = self._service
        packets = CounterMetricFamily(
            "netappliance_qcmp_packets", "Datagrams received by the ping service.", labels=["listener", "kind"]
        )
        sizes = CounterMetricFamily(
            "netappliance_qcmp_bytes", "Bytes received by the ping service.", labels=["listener", "kind"]
        )
        errors = CounterMetricFamily(
            "netappliance_qcmp_errors",
            "Datagrams that were no ping, and failed answers.",
            labels=["listener", "reason"],
        )
        for kind, count in service.packets.items():
            packets.add_metric([service.section.name, kind], count)
            sizes.add_metric([service.section.name, kind], service.bytes[kind])
        for reason, count in service.errors.items():
            errors.add_metric([service.section.name, reason], count)
        yield from (packets, sizes, errors)
