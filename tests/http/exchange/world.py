"""A world without a kernel for the HTTP proxy: sockets, epoll, clock and servers are objects that a test moves."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from netappliance.clusters.balancing.policy import Policy
from netappliance.clusters.cluster import Cluster
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.dataplane.poller import Poller
from netappliance.dataplane.receive_buffer import BUFFER_SIZE, ReceiveBuffer
from netappliance.http.backends.pools import BackendPools
from netappliance.http.collector import PoolCollector
from netappliance.http.filters.chain import RequestChain
from netappliance.http.kind import HttpKind, shared_routes
from netappliance.http.message import Answer, Exchange, Response
from netappliance.http.service import HttpService
from netappliance.http.streams.session import HttpSession
from netappliance.logs.access_log import AccessLog
from netappliance.process.appliance import Appliance

#: bytes that a connection takes before its send blocks, unless a test says otherwise
WINDOW = 1 << 20


def error_of(code: int) -> OSError:
    """Return the error that a system call raises."""
    return OSError(code, os.strerror(code))


class FakeSocket:
    """
    The proxy's end of a connection; the methods with telling names are the peer's side.

    :ivar inbound: bytes for the proxy. :ivar outbound: all that the proxy sent. :ivar window: bytes it may send now.
    :ivar fin: the peer said FIN. :ivar broken: the connection is gone. :ivar error: the kernel's error, taken once.
    :ivar shut: the proxy said FIN. :ivar closes: calls of close. :ivar reset: closing sends RST.
    :ivar reads: bytes that each read asked for. :ivar sends: bytes that each send took.
    """

    def __init__(self, world: World, *, connecting: bool = False) -> None:
        world.sockets.append(self)
        self.world = world
        self.fd = 1000 + len(world.sockets)
        self.address: Any = None
        self.inbound = bytearray()
        self.outbound = bytearray()
        self.window = WINDOW
        self.connecting = connecting
        self.fin = self.broken = self.shut = self.reset = self.edge = self.blocked = False
        self.error = self.closes = 0
        self.reads: list[int] = []
        self.sends: list[int] = []

    # -- the proxy's side ---------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Tell the descriptor; -1 once closed."""
        return -1 if self.closes else self.fd

    def _check(self) -> None:
        if self.closes:
            raise error_of(errno.EBADF)

    def recv_into(self, buffer: Any, want: int) -> int:
        """Read; FIN is 0."""
        data = self.recv(want)
        buffer[: len(data)] = data
        return len(data)

    def recv(self, want: int, flags: int = 0) -> bytes:
        """Read, or look with MSG_PEEK."""
        self._check()
        if not flags:
            self.world.bug("receive")
            self.reads.append(want)
        if self.inbound:
            data = bytes(self.inbound[:want])
            if not flags & socket.MSG_PEEK:
                del self.inbound[:want]
            return data
        if self.error:
            code, self.error = self.error, 0
            raise error_of(code)
        if self.fin or self.broken:
            return b""
        raise BlockingIOError(errno.EAGAIN, "nothing there")

    def send(self, data: Any) -> int:
        """Send as much as the window takes."""
        self._check()
        self.world.bug("send")
        if self.error:
            code, self.error = self.error, 0
            raise error_of(code)
        if self.broken or self.shut:
            raise error_of(errno.EPIPE)
        count = min(len(data), self.window)
        self.blocked = count < len(data)
        if self.blocked and not count:
            raise BlockingIOError(errno.EAGAIN, "full")
        self.outbound += data[:count]
        self.window -= count
        self.sends.append(count)
        return count

    def sendmsg(self, pieces: Any) -> int:
        """Send several as one."""
        return self.send(b"".join(pieces))

    def shutdown(self, how: int) -> None:
        """Say FIN."""
        self._check()
        if self.broken:
            raise error_of(errno.ENOTCONN)
        self.shut = True

    def close(self) -> None:
        """Give the descriptor back."""
        self.closes += 1

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        """Only SO_LINGER is ever set here."""
        self._check()
        self.reset = True

    def getsockopt(self, level: int, name: int) -> int:
        """Take the kernel's error."""
        code, self.error = self.error, 0
        return code

    # -- the peer's side ----------------------------------------------------------------------------------------------

    def give(self, data: bytes) -> None:
        """Send the proxy some bytes."""
        if not self.fin and not self.broken:
            self.inbound += data
            self.edge = True

    def end(self) -> None:
        """Say FIN."""
        if not self.broken:
            self.fin = self.edge = True

    def break_off(self, code: int = errno.ECONNRESET) -> None:
        """Say RST; what was sent before may still be read."""
        if not self.broken:
            self.broken = self.edge = True
            self.error = code
            self.connecting = False

    def accept(self) -> None:
        """Finish the handshake."""
        self.connecting = False
        self.edge = True

    def widen(self, room: int) -> None:
        """Take bytes off the connection, so that the proxy may send again."""
        self.window += room
        if self.blocked:
            self.blocked = False
            self.edge = True

    def mask(self) -> int:
        """Tell what epoll would."""
        if self.connecting:
            return 0
        mask = select.EPOLLOUT if self.window or self.broken else 0
        if self.inbound or self.fin or self.broken:
            mask |= select.EPOLLIN
        if self.fin or self.broken:
            mask |= select.EPOLLRDHUP
        if self.broken or (self.fin and self.shut):
            mask |= select.EPOLLHUP
        return mask | (select.EPOLLERR if self.error else 0)


class FakeEpoll:
    """Edge-triggered, in any order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.watched: dict[int, FakeSocket] = {}

    def register(self, fd: int, mask: int) -> None:
        """Watch; what is ready already is an edge."""
        sock = self._world.by_fd(fd)
        self.watched[fd] = sock
        sock.edge = True

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """Return the edges."""
        self.watched = {fd: sock for fd, sock in self.watched.items() if not sock.closes}
        ready = [sock for sock in self.watched.values() if sock.edge and sock.mask()]
        self._world.shuffle(ready)
        for sock in ready[:most]:
            sock.edge = False
        return [(sock.fd, sock.mask()) for sock in ready[:most]]

    def close(self) -> None:
        """Nothing to give back."""


class Recorder:
    """A filter that counts, and raises when told to."""

    def __init__(self) -> None:
        self.begun: list[Exchange] = []
        self.finished_ones: list[Exchange] = []
        self.raises: Callable[[str], bool] = lambda side: False
        self.denies: Callable[[], bool] = lambda: False
        self.also: Callable[[Exchange], None] = lambda exchange: None

    def _maybe(self, side: str) -> None:
        if self.raises(side):
            raise ZeroDivisionError(side)

    def request(self, exchange: Exchange) -> Answer | None:
        """Remember."""
        self.begun.append(exchange)
        self.also(exchange)
        self._maybe("request")
        return Answer(429) if self.denies() else None

    def response(self, exchange: Exchange, response: Response) -> None:
        """Look on."""
        self._maybe("response")

    def finished(self, exchange: Exchange) -> None:
        """Remember."""
        self.finished_ones.append(exchange)
        self._maybe("finished")


class BuggyPolicy(Policy):
    """A balancing policy that may raise, as a plug-in's may."""

    def __init__(self, world: World, policy: Any) -> None:
        self._world = world
        self._policy = policy
        self.needs_key = policy.needs_key

    def set_members(self, members: Any) -> None:
        """Tell it."""
        self._policy.set_members(members)

    def choose(self, backends: Any, key: bytes, now: float) -> Any:
        """Choose as it does."""
        self._world.bug("choose")
        return self._policy.choose(backends, key, now)


class LogLines:
    """An access log in memory."""

    log_format = "json"

    def __init__(self, world: World) -> None:
        self._world = world
        self.lines: list[str] = []

    def put(self, line: str) -> None:
        """Keep a line."""
        self._world.bug("log")
        self.lines.append(line)

    def wall(self) -> float:
        """Seconds since the epoch."""
        return 1.8e9


class FakeReactor(Clock):
    """A clock that the poller may hang itself into."""

    def step(self) -> None:
        """Run what is due now, but not what that asks for in its turn."""
        due: list[Any] = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
        for call in due:
            run = call.func
            call.cancel()
            run()


class World:
    """
    One listener and one cluster on fake sockets.

    :param host: of the routes.
    :param reads: bytes of the largest read, which small tests want smaller than it is.
    :ivar connects: called with each new connection to a backend; it may refuse by raising OSError.
    """

    def __init__(
        self,
        *,
        backends: str = "10.0.0.1:80 id=a",
        cluster: str = "",
        http: str = "",
        host: str = "*",
        seed: int = 0,
        reads: int = BUFFER_SIZE,
    ) -> None:
        self.reads = reads
        self._keys = cluster
        self.rng = random.Random(seed)
        #: the order of edges
        self.shuffle: Callable[[list[FakeSocket]], None] = self.rng.shuffle
        #: raises where a bug of ours is to be played: at "send", "receive", "choose" or "log"
        self.bug: Callable[[str], None] = lambda where: None
        self.sockets: list[FakeSocket] = []
        self.upstreams: list[FakeSocket] = []
        self.clients: list[FakeSocket] = []
        self.connects: Callable[[FakeSocket], None] = FakeSocket.accept
        self.reactor = FakeReactor()
        self.reactor.rightNow = 1000.0
        text = (
            f"[cluster web]\nbackends = {backends}\n{cluster}\n[http web]\nlisten = tcp:8080\n{http}\n"
            f"[route all]\nlisteners = web\nhost = {host}\npath = /\ncluster = web\n"
            f"[route here]\nlisteners = web\nhost = {host}\npath = /here\n"
        )
        reactor: Any = self.reactor
        self.poller = Poller(reactor, self.reactor.seconds, buffer=ReceiveBuffer(reads))
        self.poller._epoll = FakeEpoll(self)  # type: ignore[assignment]
        self.appliance = Appliance(
            load(text, "world.ini", section_kinds()), self.reactor, self.reactor.seconds, self.rng, self.poller
        )
        self.log: Any = LogLines(self)
        self.appliance.shared(AccessLog, lambda: self.log)
        for section in self.appliance.configuration.sections("cluster"):
            self.appliance.clusters[section.name] = Cluster(section, self.rng)
        pools = BackendPools(self.appliance.plane, self._connect)
        self.appliance.share(pools)
        self.appliance.collectors.append(PoolCollector(pools))
        self.filter = Recorder()
        shared_routes(self.appliance)[0].chain = RequestChain([("recorder", self.filter)])
        self.service = self.listener()
        self.frontend = self.service.frontend
        self.target = self.frontend.targets["web"]
        self.cluster = self.target.cluster
        self.pool = self.target.pool
        policy: Any = BuggyPolicy(self, self.cluster._primary)
        self.cluster._primary = policy

    def listener(self) -> HttpService:
        """Make a service of the [http] section."""
        [section] = self.appliance.configuration.sections("http")
        service: Any = HttpKind().make_service(section, self.appliance)
        made: HttpService = service
        return made

    def cluster_section(self, backends: str) -> Any:
        """Return the cluster's section with other backends, to put in force."""
        text = f"[cluster web]\nbackends = {backends}\n{self._keys}\n"
        [section] = load(text, "world.ini", section_kinds()).sections("cluster")
        return section

    def by_fd(self, fd: int) -> FakeSocket:
        """Find a socket."""
        return self.sockets[fd - 1001]

    def _connect(self, family: int, address: Any) -> Any:
        sock = FakeSocket(self, connecting=True)
        sock.address = address
        try:
            self.connects(sock)
        except OSError:
            sock.close()
            raise
        self.upstreams.append(sock)
        return sock

    def client(self) -> FakeSocket:
        """Connect a client, as the listener would."""
        assert self.appliance.admission.admit()
        sock: Any = FakeSocket(self)
        self.clients.append(sock)
        self.service.start_session(sock, ("192.0.2.7", 40000 + len(self.clients)), ("192.0.2.1", 8080))
        return self.clients[-1]

    def connection(self, sock: FakeSocket) -> Any:
        """Return the H1ClientConnection of a client's socket, None when it is gone."""
        for session in self.appliance.sessions:
            if isinstance(session, HttpSession) and session.sockets()[0].fileno() == sock.fileno():
                return session.carrier
        return None

    def turn(self, times: int = 3) -> None:
        """Let the poller run, as the reactor would."""
        for _ in range(times):
            self.poller.doRead()
            self.reactor.step()

    def wait(self, seconds: float, tick: float = 0.5) -> None:
        """Let time pass, with its timers."""
        end = self.reactor.seconds() + seconds
        while self.reactor.seconds() < end:
            self.reactor.rightNow += min(tick, end - self.reactor.seconds())
            self.appliance.timers.advance(self.poller.tick())
            self.turn(1)
