"""A stream listener: accepts in batches, queues what cannot start yet, pauses when descriptors run out."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socket import SocketType
from typing import Any, Final

from twisted.logger import Logger

from netappliance.config.values import Endpoint
from netappliance.dataplane.accept_queue import AcceptQueue
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.sockets import OUT_OF_RESOURCES, accepted, listen_tcp, listen_unix, peer_address
from netappliance.dataplane.timers import TimerWheel
from netappliance.errors import cannot_listen
from netappliance.sessions.admission import Admission
from netappliance.sessions.session import Address
from netappliance.sessions.table import ListenerTotals

_log = Logger(__name__)

#: given the connected socket, the client's address and the listener's
StartSession = Callable[[SocketType, Address, Address], None]


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """How a listener listens: kernel backlog, queue length and age (seconds, 0 = no limit), SO_REUSEPORT."""

    backlog: int = 1024
    queue_limit: int = 1024
    queue_timeout_s: float = 60.0
    reuse_port: bool = False


class StreamListener:
    """
    Accepts connections of one address and starts a session for each, as far as ``max_connections`` allows.

    :param start_session: owns the socket from then on.
    """

    #: accepts in one turn of one listener
    BUDGET: Final = 64
    #: seconds until accepting is tried again after the host ran out of descriptors or memory
    PAUSE_S: Final = 0.1

    def __init__(
        self,
        label: str,
        endpoint: Endpoint,
        options: ListenOptions,
        *,
        poller: Poller,
        timers: TimerWheel,
        admission: Admission,
        totals: ListenerTotals,
        start_session: StartSession,
    ) -> None:
        self.label = label
        self.endpoint = endpoint
        self.options = options
        self.queue: AcceptQueue[tuple[SocketType, Any]] = AcceptQueue(options.queue_limit, options.queue_timeout_s)
        self.paused = False
        self.pauses_total = 0
        self.timer_slot = 0
        self.address: Address = ("", 0)
        self._poller = poller
        self._timers = timers
        self._admission = admission
        self._totals = totals
        self._start_session = start_session
        self._sock: SocketType | None = None
        self._inode: tuple[int, int] | None = None
        self._accepting = False
        self._last_pause_log = 0.0
        self._drain_scheduled = False
        admission.on_resume(self._schedule_drain)

    def open(self) -> None:
        """
        Bind and listen; nothing is accepted yet.

        :raises StartError: names the section, the endpoint and what the kernel said.
        """
        endpoint, options = self.endpoint, self.options
        backlog = int(endpoint.options.get("backlog", options.backlog))
        try:
            if endpoint.scheme == "unix":
                self._sock = listen_unix(endpoint.path, backlog, int(endpoint.options.get("mode", "666"), 8))
                status = Path(endpoint.path).stat()
                self._inode = (status.st_dev, status.st_ino)
                self.address = (endpoint.path, 0)
            else:
                self._sock = listen_tcp(endpoint.host, endpoint.port, backlog, reuse_port=options.reuse_port)
                self.address = peer_address(self._sock.getsockname())
        except OSError as error:
            raise cannot_listen(self.label, endpoint.text, error) from None

    def start(self) -> None:
        """Begin to accept."""
        if self._sock is not None and not self._accepting:
            self._accepting = True
            self._poller.add(self._sock.fileno(), self.on_ready)

    def stop(self) -> None:
        """Stop accepting and close the listening socket and everything that waits in the queue."""
        self._accepting = False
        self._timers.cancel(self)
        for sock, _ in self.queue.clear():
            sock.close()
            self._totals.reject("shutdown")
        if self._sock is not None:
            self._poller.close(self._sock)
            self._sock = None
        if self._inode is not None:
            self._unlink()

    def _unlink(self) -> None:
        try:
            status = Path(self.endpoint.path).stat()
            if (status.st_dev, status.st_ino) == self._inode:
                Path(self.endpoint.path).unlink()
        except OSError:
            _log.info("{path} was gone already", path=self.endpoint.path)
        self._inode = None

    def crashed(self) -> None:
        """A bug in starting one session must not lose the listener: go on accepting."""
        self._poller.later(self._accept)

    def on_ready(self, mask: int) -> None:
        """Somebody connected."""
        self._accept()

    def _accept(self) -> None:
        sock = self._sock
        if sock is None or self.paused or not self._accepting:
            return
        accept = sock._accept  # type: ignore[attr-defined]  # noqa: SLF001 - without the wrapper's extra system calls
        admission, queue = self._admission, self.queue
        for _ in range(self.BUDGET):
            try:
                fd, address = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if not self._accept_failed(error):
                    return
                continue
            client = accepted(sock, fd)
            if admission.open and not queue and admission.admit():
                self._start_session(client, peer_address(address), self.address)
            elif not queue.push((client, address), self._poller.now):
                self._totals.reject("queue_full")
                client.close()
            elif not self.timer_slot and queue.timeout:
                self._timers.schedule(self, queue.next_expiry())
        self._poller.later(self._accept)

    def _accept_failed(self, error: OSError) -> bool:
        """Return True to try the next connection at once."""
        if error.errno in (errno.ECONNABORTED, errno.EPROTO, errno.EINTR):
            return True
        # accept(2): also errors of the network below may come up here; none of them ends the listener
        self.paused = True
        self.pauses_total += 1
        self._timers.schedule(self, self._poller.now + self.PAUSE_S)
        if (
            error.errno not in OUT_OF_RESOURCES
            or self._poller.now - self._last_pause_log > 60
            or self.pauses_total == 1
        ):
            self._last_pause_log = self._poller.now
            _log.warn(
                "{label}: accepting pauses for {pause} s: {error}",
                label=self.label,
                pause=self.PAUSE_S,
                error=str(error),
            )
        return False

    def on_timer(self, now: float) -> float:
        """Go on after a pause, and close what waited too long."""
        if self.paused:
            self.paused = False
            self._poller.later(self._accept)
        self._expire(now)
        if self.queue and self._admission.open:
            self._schedule_drain()
        return self.queue.next_expiry()

    def _expire(self, now: float) -> None:
        for sock, _ in self.queue.expire(now):
            self._totals.reject("queue_timeout")
            sock.close()

    def _schedule_drain(self) -> None:
        # not at once: we may be in the middle of closing the session that made room
        if not self._drain_scheduled and self.queue:
            self._drain_scheduled = True
            self._poller.later(self._drain)

    def _drain(self) -> None:
        self._drain_scheduled = False
        if not self._accepting:
            return
        now = self._poller.now
        self._expire(now)
        for _ in range(self.BUDGET):
            if not self.queue or not self._admission.admit():
                return
            waiting = self.queue.pop(now)
            if waiting is not None:
                self._start_session(waiting[0], peer_address(waiting[1]), self.address)
        self._schedule_drain()
