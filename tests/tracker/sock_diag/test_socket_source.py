"""The sources of sockets against a kernel that is made by hand: refusals, garbage, losses, stalls."""

from __future__ import annotations

import errno
import shutil
import socket
import struct
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance import plugins
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.tracker.counting.hosts import Hosts
from netappliance.tracker.counting.places import Places
from netappliance.tracker.counting.totals import UNOBSERVED
from netappliance.tracker.network import OWN
from netappliance.tracker.section import TrackerSection
from netappliance.tracker.sock_diag.diag_socket import DiagReader
from netappliance.tracker.sock_diag.inet_diag import LISTEN
from netappliance.tracker.sock_diag.quality import Qualities
from netappliance.tracker.sock_diag.socket_source import STALL_S, ProcSource, SocketSource
from netappliance.tracker.sock_diag.socket_table import SocketTable
from netappliance.tracker.sock_diag.socket_tracking import SocketTracking
from netappliance.tracker.source_choice import NotTracking, choose
from netappliance.tracker.sources import Sources
from tests.tracker.sock_diag.test_inet_diag import DONE, LOCAL, PROC, PROC6, message


class KernelSocket:
    """A netlink socket: gives what is in ``waiting``, keeps what is sent."""

    def __init__(self) -> None:
        self.waiting: deque[bytes | OSError] = deque()
        self.sent: list[bytes] = []
        self.drops = 0
        self.closed = False

    def recv(self, size: int) -> bytes:
        """Return the next message; BlockingIOError when there is none."""
        if not self.waiting:
            raise BlockingIOError
        item = self.waiting.popleft()
        if isinstance(item, OSError):
            raise item
        return item

    def send(self, data: bytes) -> int:
        """Keep it."""
        self.sent.append(data)
        return len(data)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """SO_MEMINFO with the drop counter."""
        return struct.pack("=9I", *(0,) * 8, self.drops)

    def fileno(self) -> int:
        """None that is real."""
        return -1

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class FakeReactor(Clock):
    """Time, delayed calls, and a set of readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """Take it."""
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        """Drop it."""
        self.readers.discard(reader)

    def turn(self) -> None:
        """Let every reader read, as long as it is one."""
        for reader in list(self.readers):
            if reader in self.readers:
                reader.doRead()


def table_of() -> SocketTable:
    """Return a table for LOCAL."""
    places = Places(Hosts(9, 60), (), ())
    places.set_local(frozenset({LOCAL}))
    return SocketTable(places, Qualities(), notices=True)


class SocketSourceTests(SynchronousTestCase):
    """Dumps and notices."""

    def setUp(self) -> None:
        """Start a source."""
        self.reactor = FakeReactor()
        self.opened: list[KernelSocket] = []
        self.refuse: OSError | None = None
        self.table = table_of()
        self.source = SocketSource(
            self.table,
            self.reactor,
            self.reactor.seconds,
            1 << 20,
            1.0,
            self.open_socket,  # type: ignore[arg-type]
        )
        self.source.start()

    def open_socket(self, groups: tuple[int, ...], size: int) -> KernelSocket:
        """Open one, or refuse."""
        if self.refuse is not None:
            raise self.refuse
        self.opened.append(KernelSocket())
        return self.opened[-1]

    @property
    def notices(self) -> KernelSocket:
        """The socket of the groups."""
        return self.opened[0]

    @property
    def dumps(self) -> KernelSocket:
        """The newest socket of dumps."""
        return self.opened[-1]

    def whole_dump(self, *messages: bytes) -> None:
        """Answer both families."""
        self.dumps.waiting += [b"".join(messages) + DONE, DONE]
        self.reactor.turn()

    def second(self) -> None:
        """Let a second pass."""
        self.reactor.advance(1)
        self.source.check_loss()

    def test_both_families_are_asked_one_after_the_other(self) -> None:
        """A socket takes one dump at a time."""
        self.assertEqual([each[16] for each in self.dumps.sent], [2])
        self.whole_dump(message(cookie=1))
        self.assertEqual([each[16] for each in self.dumps.sent], [2, 10])
        self.assertEqual((self.source.resyncs, len(self.table), self.table.dumping), (1, 1, False))

    def test_a_dump_comes_every_second(self) -> None:
        """Not before the one under way is over."""
        self.second()
        self.assertEqual(len(self.dumps.sent), 1)
        self.whole_dump()
        self.second()
        self.assertEqual(len(self.dumps.sent), 3)

    def test_garbage_is_counted_and_nothing_escapes(self) -> None:
        """On either socket."""
        self.notices.waiting += [b"x" * 50, message()[:60], struct.pack("=IHHII", 4, 20, 0, 0, 0)]
        self.dumps.waiting += [b"\xff" * 100]
        self.reactor.turn()
        self.assertGreaterEqual(self.source.malformed, 4)

    def test_a_refused_dump_is_tried_again_on_a_new_socket(self) -> None:
        """Later, so that a kernel that cannot is not asked all the time."""
        self.dumps.waiting.append(struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -errno.ENOMEM) + bytes(16))
        self.reactor.turn()
        self.assertEqual((self.source.refused, self.table.dumping, self.opened[-1].closed), (1, False, True))
        count = len(self.opened)
        for _ in range(11):
            self.second()
        self.assertEqual((len(self.opened), self.table.dumping), (count + 1, True))

    def test_a_kernel_without_ipv6_has_no_second_answer(self) -> None:
        """Its refusal ends the dump well."""
        self.dumps.waiting += [message() + DONE, struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -errno.ENOENT) + bytes(16)]
        self.reactor.turn()
        self.assertEqual((self.source.resyncs, self.source.refused, len(self.table)), (1, 0, 1))

    def test_a_stalled_dump_is_given_up(self) -> None:
        """What it brought stays."""
        self.dumps.waiting.append(message())
        self.reactor.turn()
        for _ in range(int(STALL_S) + 2):
            self.second()
        self.assertEqual((self.source.refused, self.table.dumping, len(self.table)), (1, False, 1))

    def test_losses_are_counted_and_made_good(self) -> None:
        """The kernel's drop counter, also when it wraps; the next two dumps end what nobody told of."""
        self.whole_dump(message(cookie=1))
        self.notices.drops = 3
        for _ in range(2):
            self.second()
            self.whole_dump()
        self.assertEqual((self.source.lost, self.table.closed[UNOBSERVED], len(self.table)), (3, 1, 0))
        self.notices.drops = 2
        self.second()
        self.assertEqual(self.source.lost, 3 + 0xFFFFFFFF)

    def test_a_socket_that_fails_is_a_line_in_the_log(self) -> None:
        """Full buffers are none; other errors fail the dump."""
        self.dumps.waiting += [OSError(errno.ENOBUFS, "full"), OSError(errno.EBADF, "gone")]
        self.reactor.turn()
        self.assertEqual(self.source.refused, 1)
        self.refuse = OSError(errno.EMFILE, "too many")
        for _ in range(11):
            self.second()
        self.assertEqual(self.source.refused, 2)

    def test_a_new_listener_is_asked_for_within_the_call(self) -> None:
        """A notice whose ports tell nothing."""
        self.whole_dump()
        queries = self.opened[1]
        queries.waiting += [message(LISTEN, 50, ports=(45000, 0), destination=bytes(4)) + DONE, DONE]
        self.notices.waiting.append(message(7, 60, ports=(45000, 50001)))
        self.reactor.turn()
        self.assertEqual(len(queries.sent), 2)
        labels = [host.label for host in self.table.places.hosts.series()]
        self.assertEqual(labels, ["192.0.2.7", "other"])

    def test_notices_that_fail_stop_the_source(self) -> None:
        """It can be started again, and then whatever ended meanwhile is gone."""
        self.whole_dump(message(cookie=1), message(cookie=2))
        self.notices.waiting.append(OSError(errno.EIO, "broken"))
        self.reactor.turn()
        self.assertEqual((self.source.up, self.reactor.readers), (False, set()))
        self.opened.clear()
        self.source.start()
        self.whole_dump(message(cookie=2))
        self.second()
        self.whole_dump(message(cookie=2))
        self.assertEqual((self.source.up, len(self.table), self.table.closed[UNOBSERVED]), (True, 1, 1))

    def test_a_reader_that_the_reactor_gives_up_is_an_error(self) -> None:
        """An exception of ours in a callback would otherwise leave a source that hears nothing."""
        left, right = socket.socketpair()
        self.addCleanup(right.close)
        problems: list[OSError] = []
        reader = DiagReader(left, lambda _: True, problems.append, self.reactor, self.reactor.seconds)
        reader.connectionLost(None)
        reader.connectionLost(None)
        self.assertEqual([each.errno for each in problems], [errno.EBADF])

    def test_stopping_closes_everything(self) -> None:
        """In the middle of a dump too."""
        self.source.stop()
        self.assertTrue(all(each.closed for each in self.opened))
        self.assertEqual((self.reactor.readers, self.table.dumping, self.source.up), (set(), False, False))


class TrackingTests(SynchronousTestCase):
    """A source in its setting."""

    def test_a_source_that_has_stopped_is_started_again(self) -> None:
        """Half a minute later; its counters go on."""
        reactor, opened = FakeReactor(), []

        def open_socket(groups: tuple[int, ...], size: int) -> KernelSocket:
            opened.append(KernelSocket())
            return opened[-1]

        network = OWN._replace(open_diag=open_socket)  # type: ignore[arg-type]
        places = Places(Hosts(9, 60), (), ())
        tracking = SocketTracking(TrackerSection(), places, reactor, reactor.seconds, network)
        tracking.start("sock_diag")
        source = tracking.source
        opened[0].waiting += [b"garbage that is long enough", OSError(errno.EIO, "broken")]
        reactor.turn()
        assert source is not None
        self.assertEqual((source.up, source.malformed), (False, 1))
        for _ in range(31):
            reactor.advance(1)
            tracking.check(reactor.seconds())
        self.assertIs(tracking.source, source)
        self.assertEqual((source.up, source.malformed), (True, 1))


class ProcSourceTests(SynchronousTestCase):
    """The last resort."""

    def setUp(self) -> None:
        """Make a folder with both files."""
        self.folder = Path(tempfile.mkdtemp(prefix="proc-net-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "tcp").write_text(PROC)
        (self.folder / "tcp6").write_text("  sl  local_address\n" + PROC6)
        self.reactor = FakeReactor()
        self.table = table_of()
        self.table.notices = False
        self.source = ProcSource(self.table, self.reactor, self.reactor.seconds, 1.0, self.folder)

    def test_both_files_are_read_again_and_again(self) -> None:
        """What is gone from them ended, nobody knows how."""
        self.source.start()
        self.assertEqual((self.source.resyncs, len(self.table), list(self.table.listening)), (1, 3, [8080]))
        (self.folder / "tcp6").unlink()
        (self.folder / "tcp").write_text(PROC.split("\n")[0] + "\nnonsense\n")
        self.reactor.advance(1)
        self.source.check_loss()
        self.assertEqual((len(self.table), self.table.closed[UNOBSERVED], self.source.malformed), (0, 2, 1))
        self.source.stop()

    def test_without_proc_it_does_not_start(self) -> None:
        """So that the next choice is made."""
        (self.folder / "tcp").unlink()
        self.assertRaises(OSError, self.source.start)

    def test_a_file_that_goes_is_a_failed_reading(self) -> None:
        """Counted; tried again later."""
        self.source.start()
        (self.folder / "tcp").unlink()
        self.reactor.advance(1)
        self.source.check_loss()
        self.assertEqual((self.source.refused, len(self.table), self.table.dumping), (1, 3, False))


class ChoiceTests(SynchronousTestCase):
    """Which source, and why."""

    def choose(self, wanted: str, **problems: OSError) -> tuple[str, str]:
        """Choose among three, of which some fail."""
        self.started: list[str] = []

        def starter(name: str) -> Any:
            def start() -> None:
                if name in problems:
                    raise problems[name]
                self.started.append(name)

            return start

        chosen = choose(wanted, {name: starter(name) for name in ("conntrack", "sock_diag", "proc")})
        self.words = chosen.words
        return chosen.source, chosen.reason

    def test_auto_takes_the_best_that_works(self) -> None:
        """And says what the better ones lack."""
        self.assertEqual(self.choose("auto"), ("conntrack", "best"))
        rights = PermissionError(errno.EPERM, "Operation not permitted")
        self.assertEqual(self.choose("auto", conntrack=rights), ("sock_diag", "no_rights"))
        self.assertEqual(self.words, "conntrack: Operation not permitted")
        self.assertEqual(self.choose("auto", conntrack=NotTracking("idle")), ("sock_diag", "not_tracking"))
        absent = OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
        self.assertEqual(self.choose("auto", conntrack=absent, sock_diag=absent), ("proc", "unavailable"))
        self.assertEqual(self.started, ["proc"])

    def test_an_asked_source_is_the_only_one_that_is_tried(self) -> None:
        """It fails, or it is what was asked for."""
        self.assertEqual(self.choose("proc"), ("proc", "asked"))
        self.assertEqual(self.choose("conntrack", conntrack=OSError(1, "no")), ("none", "nothing_works"))
        self.assertEqual(self.started, [])
        self.assertEqual(self.choose("sockets"), ("sock_diag", "best"))


THIRD_PARTY_MODULE = "third_party_source"
THIRD_PARTY = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from netappliance.interfaces import IConnectionSource
from tests.tracker.sock_diag.test_socket_table import record

class Source:
    lost = malformed = resyncs = refused = events = 0
    dump_secs = 0.0
    up = False
    def __init__(self, table, clock):
        self.table, self.clock = table, clock
    def start(self):
        self.up = True
        self.resync()
    def stop(self):
        self.up = False
    def check_loss(self):
        return False
    def resync(self):
        self.table.begin_dump()
        self.table.dumped(record(), self.clock())
        self.table.end_dump(self.clock())

@implementer(IPlugin, IConnectionSource)
class Factory:
    name = "imagined"
    def make(self, table, reactor, clock, section):
        return Source(table, clock)

imagined = Factory()
"""


class ThirdPartyTests(SynchronousTestCase):
    """A source of another distribution."""

    def test_it_is_selected_by_its_name(self) -> None:
        """And what it tells is shown."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / f"{THIRD_PARTY_MODULE}.py").write_text(THIRD_PARTY)
        self.patch(plugins, "__path__", [*plugins.__path__, str(folder)])
        self.addCleanup(sys.modules.pop, f"{plugins.__name__}.{THIRD_PARTY_MODULE}", None)
        self.addCleanup(lambda: plugins.__dict__.pop(THIRD_PARTY_MODULE, None))
        configuration = load("[tracker]\nsource = imagined\n", "p.ini", section_kinds())
        (section,) = configuration.sections("tracker")
        sources = Sources(section, FakeReactor(), lambda: 5.0, frozenset())
        sources.start()
        self.assertEqual((sources.chosen.source, sources.chosen.reason), ("imagined", "asked"))
        hosts = {host.label: host.gauges[1] for host in sources.places.hosts.series()}
        self.assertEqual(hosts, {"192.0.2.7:443": 1, "other": 0})

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        """At configuration."""
        errors = self.assertRaises(ConfigErrors, load, "[tracker]\nsource = sockdiag\n", "p.ini", section_kinds())
        self.assertIn("auto | conntrack | sock_diag | proc", str(errors))
