"""Whole exchanges under any schedule: no byte goes astray, nothing is sent twice, nothing is left over."""

from __future__ import annotations

import errno
import json
import random
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.dataplane.receive_buffer import BUFFER_SIZE
from netappliance.http.exchange.exchange import MAX_INTERIM
from netappliance.sessions.reasons import SHUTDOWN
from tests.http.exchange.peers import EVIL, IDEMPOTENT, Asked, BackendPeer, ClientPeer, Planned, make_request
from tests.http.exchange.world import FakeSocket, World, error_of

BACKENDS = (
    "10.0.0.1:80 id=a",
    "10.0.0.1:80 id=a max_connections=1",
    "10.0.0.1:80 id=a max_connections=2, 10.0.0.2:80 id=b max_connections=1",
    "10.0.0.1:80 id=a, 10.0.0.2:80 id=b, 10.0.0.3:80 id=c backup=yes",
)
CLUSTERS = ("", "retries = 1", "pool_max_idle = 1\nmax_queue = 1", "sticky_cookie = S\nqueue_timeout = 1s")
LISTENERS = (
    "tunnel_timeout = 20s",
    "tunnel_timeout = 20s\nhalf_close = serve",
    "tunnel_timeout = 20s\nproxy_protocol = expect\ntrusted_proxies = 192.0.2.0/24",
    "tunnel_timeout = 20s\nmax_requests = 3\nmax_body_size = 50000\nhalf_close = serve",
    (
        "tunnel_timeout = 20s\nrequest_timeout = 1s\nclient_timeout = 2s\nbackend_timeout = 2s\n"
        "max_header_size = 1KiB\nmax_target_size = 512"
    ),
)
#: what may raise
STEPS = ("log", "choose", "send", "receive")
PROXY_HEADERS = (
    b"PROXY TCP4 198.51.100.1 198.51.100.2 5 80\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"PROXY TCP4 nonsense\r\n",
)


class Fuzz:
    """
    One run: clients, backends, and a schedule that is a function of the seed.

    :param chaos: 0 when everybody behaves, else how badly they do.
    :ivar abrupt: the process ends in the middle of it. :ivar crashing: callbacks may raise.
    :ivar coarse: pieces and windows are large, so that more requests are done in as many steps.
    """

    def __init__(self, seed: int, chaos: int) -> None:
        self.rng = rng = random.Random(seed)
        self.chaos = chaos
        self.abrupt = self.crashing = False
        self.world = World(
            backends=rng.choice(BACKENDS if chaos else BACKENDS[:1]),
            cluster=rng.choice(CLUSTERS if chaos else CLUSTERS[:1]),
            http=rng.choice(LISTENERS if chaos else LISTENERS[:3]),
            seed=seed,
            reads=rng.choice((BUFFER_SIZE, 16, 1000)),
        )
        #: bytes of the largest bodies
        self.largest = max(self.world.reads, 64) * 60
        self.coarse = rng.random() < 0.5
        self.asked: dict[bytes, Asked] = {}
        self.plans: dict[bytes, Planned] = {}
        self.clients: list[ClientPeer] = []
        self.peers: list[BackendPeer] = []
        self.world.connects = self.connect
        cluster = self.world.cluster
        #: every backend that there ever was
        self.backends = set(cluster.backends)
        self.sections = [self.world.cluster_section(backends) for backends in (*BACKENDS, "")]
        cluster.watchers.append(lambda changed: self.backends.update(changed.backends))
        self.world.poller.max_events = rng.choice((1, 2, 3, 512))
        self.connections: list[Any] = []
        denies = rng.random() < 0.1 * chaos
        self.world.filter.denies = lambda: denies and rng.random() < 0.2
        raises = rng.random() < 0.1 * chaos
        self.world.filter.raises = lambda side: raises and rng.random() < 0.2

    # -- what peers ask -----------------------------------------------------------------------------------------------

    def connect(self, sock: FakeSocket) -> None:
        """A backend is asked for a connection."""
        sock.window = self.window()
        if self.chaos and self.rng.random() < 0.1:
            raise error_of(self.rng.choice((errno.ECONNREFUSED, errno.EMFILE, errno.ENETUNREACH)))
        if self.rng.random() < 0.5:
            sock.accept()
        self.peers.append(BackendPeer(self, sock))

    def window(self) -> int:
        """Bytes that a connection takes at first."""
        return 1 << 20 if self.coarse else self.rng.choice((0, 10, 1000, 1 << 20))

    def piece(self) -> int:
        """Bytes that a peer sends at a time, at most."""
        return self.rng.choice((70000, 1 << 20) if self.coarse else (1, 5, 30, 500, 5000, 70000, 1 << 20))

    def plan(self, asked: Asked, body: bytes, *, whole: bool) -> bytes:
        """Remember a response; return its tag."""
        tag = b"%b-%d" % (asked.tag, len(self.plans))
        self.plans[tag] = Planned(asked.tag, body, whole)
        return tag

    def tunnel_bytes(self, asked: Asked) -> bytes:
        """What a client sends behind an upgrade."""
        number = int(asked.tag.split(b"r")[0][1:])
        client = self.clients[number]
        at = client.start + sum(len(each.wire) for each in client.requests[: client.requests.index(asked) + 1])
        return client.wire[at:]

    # -- the schedule -------------------------------------------------------------------------------------------------

    def new_client(self) -> None:
        """One more, with its requests."""
        number = len(self.clients)
        tags = [b"c%dr%d" % (number, each) for each in range(self.rng.choice((1, 2, 5)))]
        requests = [make_request(self.rng, tag, self.chaos, self.largest) for tag in tags]
        for asked in requests:
            self.asked[asked.tag] = asked
        prefix = b""
        if self.world.service.section.proxy_protocol == "expect":
            prefix = self.rng.choice(PROXY_HEADERS if self.chaos else PROXY_HEADERS[:2])
        sock = self.world.client()
        sock.window = self.window()
        self.clients.append(ClientPeer(self, sock, requests, prefix))
        self.connections.append(self.world.connection(sock))

    def step(self) -> None:
        """Let something happen."""
        rng, world = self.rng, self.world
        what = rng.random()
        if what < 0.25 and self.clients:
            rng.choice(self.clients).send()
        elif what < 0.45 and self.peers:
            rng.choice(self.peers).give()
        elif what < 0.50 and self.peers:
            self.meet(rng.choice(self.peers))
        elif what < 0.60:
            rng.choice(world.sockets).widen(rng.choice((1, 100, 20000))) if world.sockets else None
        elif what < 0.85:
            world.poller.doRead()
        elif what < 0.95:
            world.reactor.step()
        elif what < 0.97:
            world.reactor.rightNow += rng.choice(
                (0.01, 0.1, 0.5, 3.0, 70.0 if rng.random() < 0.1 else 1.0) if self.chaos else (0.01,)
            )
            world.appliance.timers.advance(world.poller.tick())
        elif self.chaos:
            self.spoil()
        self.check()

    def meet(self, peer: BackendPeer) -> None:
        """A connection attempt comes to its end."""
        if peer.sock.connecting and not peer.sock.closes:
            if self.chaos and self.rng.random() < 0.2:
                peer.sock.break_off(errno.ECONNREFUSED)
            else:
                peer.sock.accept()

    def spoil(self) -> None:
        """Somebody misbehaves, and perhaps a client sends something at the same moment."""
        rng = self.rng
        what = rng.random()
        idle = [peer for peer in self.peers if peer.idle and not peer.sock.connecting and not peer.sock.closes]
        if what < 0.5 and idle:
            peer = rng.choice(idle)
            peer.over = True
            rng.choice((lambda: peer.sock.give(EVIL), peer.sock.end, peer.sock.break_off))()
        elif what < 0.7 and self.clients:
            client = rng.choice(self.clients)
            client.gave_up = True
            rng.choice((client.sock.end, client.sock.break_off))()
        elif what < 0.9 and self.peers:
            self.break_peer(rng.choice([peer for peer in self.peers if peer.busy] or self.peers))
        elif what < 0.97:
            cluster = self.world.cluster
            if rng.random() < 0.5:
                cluster.update(rng.choice(self.sections))
            elif cluster.backends:
                cluster.set_health(rng.choice(cluster.backends), rng.random() < 0.6, 0.0)
        elif what > 0.99:
            self.world.service.draining = True
            self.world.service.stopService()
        if self.clients and rng.random() < 0.7:
            rng.choice(self.clients).send(patient=False)

    def break_peer(self, peer: BackendPeer) -> None:
        """A backend's process dies; a response until the end of the connection must not look whole then."""
        peer.over = True
        peer.todo, peer.after = b"", ""
        peer.sock.break_off()

    def check(self) -> None:
        """What holds after every step."""
        for peer in self.peers:
            peer.look()
        world = self.world
        assert self.crashing or world.poller.crashes_total == 0
        section = world.service.section
        for connection in self.connections:
            if connection is None or connection.state == "closed":
                continue
            assert len(connection.hold) <= section.max_header_size + 2 * world.reads
            most = world.reads + MAX_INTERIM * section.max_response_header_size
            assert connection.out is None or len(connection.out) <= most
        assert len(world.pool.queue) <= world.cluster.section.max_queue

    def run(self) -> None:
        """The schedule, then everybody comes to an end."""
        for _ in range(self.rng.choice((1, 2, 4))):
            self.new_client()
        for _ in range(self.rng.choice((50, 200, 600))):
            if self.rng.random() < (0.05 if self.coarse else 0.01):
                self.new_client()
            self.step()
        if self.abrupt:
            self.world.appliance.sessions.close_all(SHUTDOWN)
            self.world.service.stopService()
            self.world.turn(10)
        else:
            self.settle()

    def settle(self) -> None:
        """Everybody goes on to the end."""
        world = self.world
        raises, world.filter.raises = world.filter.raises, lambda side: False
        for turn in range(1500):
            for client in self.clients:
                client.send(patient=turn < 100)
                client.sock.widen(1 << 20)
                if turn > 600:
                    client.sock.end()
            for peer in self.peers:
                peer.sock.widen(1 << 20)
                peer.give()
                if peer.sock.connecting and not peer.sock.closes:
                    peer.sock.accept()
            world.turn(1)
            self.check()
            if turn > 200:
                world.reactor.rightNow += 0.5
                world.appliance.timers.advance(world.poller.tick())
            if turn > 620 and not world.appliance.sessions.live and not world.pool.idle:
                break
        world.filter.raises = raises

    # -- the end ------------------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """What holds when everything is over."""
        self.verify_nothing_left()
        self.verify_books()
        for asked in self.asked.values():
            self.verify_arrivals(asked)
        assert self.chaos or self.abrupt or all(peer.tunnelled for peer in self.peers)

    def verify_nothing_left(self) -> None:
        """No session, place, descriptor or timer is left, and the sessions add up."""
        world = self.world
        sessions = world.appliance.sessions
        assert not sessions.live, [session.describe() for session in sessions]
        assert world.appliance.admission.active == 0
        assert {backend.active for backend in self.backends} == {0}
        assert not [backend for backend in world.cluster.backends if backend.draining]
        assert not world.pool.queue
        assert not world.pool.idle
        assert [sock.closes for sock in world.sockets] == [1] * len(world.sockets)
        assert len(world.appliance.timers) == 0
        for totals in sessions.listeners.values():
            assert totals.active == 0
            assert totals.total == sum(totals.closed.values())
        assert sessions.totals("http", "web").total == len(self.clients)

    def verify_books(self) -> None:
        """Each exchange was counted and logged once, with its bytes; filters were told of each end."""
        world = self.world
        lines = [json.loads(line) for line in world.log.lines]
        ids = Counter(line["request_id"] for line in lines)
        assert set(ids.values()) <= {1}, ids
        counted = 0
        for statistics in (world.frontend.local, world.target.statistics):
            counted += sum(map(sum, [*statistics.rows.values(), statistics.others]))
        assert counted == len(lines)
        requests = sum(connection.requests for connection in self.connections)
        assert requests == sum("method" in line for line in lines)
        for client, connection in zip(self.clients, self.connections, strict=True):
            sent = sum(line["sent_bytes"] for line in lines if line["id"] == connection.session.id)
            assert sent == len(client.sock.outbound), (sent, len(client.sock.outbound))
        if not self.chaos and not self.abrupt:
            # where nothing is sent twice or thrown away, both sides of the books agree
            assert sum(line["rx_bytes"] for line in lines) == sum(peer.given for peer in self.peers)
            assert sum(line["tx_bytes"] for line in lines) == sum(len(sock.outbound) for sock in world.upstreams)
        traffic = world.appliance.sessions.traffic().values()
        assert sum(total.rx_bytes for total in traffic) == sum(line["rx_bytes"] for line in lines)
        assert sum(total.tx_bytes for total in traffic) == sum(line["tx_bytes"] for line in lines)
        begun = Counter(id(exchange) for exchange in world.filter.begun)
        assert begun == Counter(id(exchange) for exchange in world.filter.finished_ones)

    def verify_arrivals(self, asked: Asked) -> None:
        """Only an idempotent request on a connection that said nothing of its response may be sent again."""
        for arrival in asked.arrivals[:-1]:
            assert asked.method in IDEMPOTENT, asked
            assert arrival.peer.given - len(arrival.peer.sock.inbound) <= arrival.given, "it had begun to answer"


class FuzzTests(SynchronousTestCase):
    """Hypothesis chooses the schedules."""

    def make(self, seed: int, chaos: int) -> Fuzz:
        """A run that has not begun."""
        return Fuzz(seed, chaos)

    def run_one(self, seed: int, chaos: int) -> Fuzz:
        """Run and verify one."""
        fuzz = self.make(seed, chaos)
        fuzz.run()
        fuzz.verify()
        return fuzz

    @settings(deadline=None, max_examples=100)
    @given(st.integers(0, 1 << 32), st.integers(1, 3))
    def test_whatever_peers_do_no_byte_goes_astray(self, seed: int, chaos: int) -> None:
        """Clients get their own responses, whole or visibly cut; backends get requests once; nothing is left."""
        fuzz = self.run_one(seed, chaos)
        for client in fuzz.clients:
            client.check(fuzz.plans)

    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 1 << 32))
    def test_when_all_behave_every_request_gets_its_response(self, seed: int) -> None:
        """In order, whole, and from a backend, however the bytes come."""
        fuzz = self.run_one(seed, 0)
        for client in fuzz.clients:
            statuses = client.check(fuzz.plans)
            self.assertTrue(client.ended, (statuses, client.requests))
            self.assertFalse({502, 503, 504} & set(statuses))

    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 1 << 32), st.integers(0, 3))
    def test_the_end_of_the_process_leaves_nothing(self, seed: int, chaos: int) -> None:
        """At any moment, and no response that is cut by it passes for a whole one."""
        fuzz = self.make(seed, chaos)
        fuzz.abrupt = True
        fuzz.run()
        fuzz.verify()
        for client in fuzz.clients:
            client.check(fuzz.plans)

    @settings(deadline=None, max_examples=50)
    @given(st.integers(0, 1 << 32), st.integers(1, 3), st.sampled_from(STEPS))
    def test_bugs_of_ours_cost_their_exchange_and_nothing_else(self, seed: int, chaos: int, where: str) -> None:
        """Whatever raises, no descriptor, place or waiting client is left behind."""
        fuzz = self.make(seed, chaos)
        fuzz.crashing = True

        def sometimes(step: str) -> None:
            if step == where and fuzz.rng.random() < 0.15:
                raise ZeroDivisionError

        fuzz.world.bug = sometimes
        try:
            fuzz.run()
        finally:
            fuzz.world.bug = lambda step: None
            self.flushLoggedErrors(ZeroDivisionError)
        fuzz.verify_nothing_left()
