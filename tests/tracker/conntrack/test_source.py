"""The conntrack source on sockets whose other end is the test."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker import sockets
from netappliance.tracker.conntrack import ctnetlink, dumps
from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, UPDATE
from netappliance.tracker.conntrack.source import ConntrackSource
from tests.tracker.support import message, table_of

DONE = ctnetlink.HEADER.pack(20, ctnetlink.NLMSG_DONE, 2, 1, 0) + bytes(4)
BUSY = ctnetlink.HEADER.pack(36, ctnetlink.NLMSG_ERROR, 0, 1, 0) + b"\xf0\xff\xff\xff" + bytes(16)


class Reactor(Clock):
    """A clock with readers that read when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """As the reactor."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """As the reactor."""
        if reader in self.readers:
            self.readers.remove(reader)

    def turn(self, rounds: int = 5) -> None:
        """Let everything that is due happen."""
        for _ in range(rounds):
            self.advance(0)
            for reader in list(self.readers):
                reader.doRead()


class SourceTests(SynchronousTestCase):
    """Events, dumps, loss, failures."""

    def setUp(self) -> None:
        """Make a source whose kernel is two lists of sockets."""
        self.reactor = Reactor()
        self.kernel: dict[str, socket.socket] = {}
        self.drops = 0
        self.failing: OSError | None = None
        self.patch(sockets, "drops", lambda opened: self.drops)
        self.table = table_of()
        self.source = ConntrackSource(self.table, self.reactor, self.reactor.seconds, 1 << 20, self.open_socket)
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close both ends."""
        self.source.stop()
        for each in self.kernel.values():
            each.close()
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ([], []))

    def open_socket(self, groups: tuple[int, ...], size: int) -> socket.SocketType:
        """Open as the source asks; the other end is ``kernel["events"]`` or ``kernel["dump"]``."""
        if self.failing is not None:
            raise self.failing
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        theirs.setblocking(False)
        name = "events" if groups else "dump"
        if name in self.kernel:
            self.kernel[name].close()
        self.kernel[name] = theirs
        return ours

    def start(self) -> None:
        """Start, with an empty table taken."""
        self.source.start()
        self.reactor.turn()
        self.kernel["dump"].send(DONE)
        self.reactor.turn()
        self.assertEqual((self.source.up, self.source.resyncs, self.table.complete), (True, 1, True))

    def test_events_and_a_dump(self) -> None:
        """Both make the table."""
        self.source.start()
        self.reactor.turn()
        self.assertEqual(self.kernel["dump"].recv(99)[4:6], b"\x01\x01")
        self.kernel["events"].send(message(NEW, 1, state=3))
        self.kernel["dump"].send(message(UPDATE, 2, state=3) + message(UPDATE, 3, state=3))
        self.kernel["dump"].send(DONE)
        self.reactor.turn()
        self.assertEqual((len(self.table), self.table.adopted, self.source.events), (3, 2, 1))

    def test_events_that_wait_at_the_end_of_a_dump_come_first(self) -> None:
        """What they end is not taken for lost."""
        self.start()
        self.kernel["events"].send(message(NEW, 1, state=3))
        self.source.resync()
        self.reactor.turn()
        self.kernel["dump"].send(DONE)
        self.reactor.readers[-1].doRead()
        self.kernel["events"].send(message(DESTROY, 1, state=3))
        self.reactor.turn()
        self.assertEqual((len(self.table), self.table.unobserved, self.source.resyncs), (0, 0, 2))

    def test_loss_is_counted_and_starts_a_dump(self) -> None:
        """Exactly, also when the kernel's counter of 32 bits wraps; without loss nothing happens."""
        self.start()
        self.drops = 0xFFFFFFFF
        self.assertTrue(self.source.check_loss())
        self.drops = 2
        self.source.check_loss()
        self.assertEqual(self.source.lost, 2**32 + 2)
        self.reactor.turn()
        self.assertTrue(self.table.dumping)
        self.drops = 3
        self.source.check_loss()
        self.kernel["dump"].send(DONE)
        self.reactor.turn()
        self.assertFalse(self.source.check_loss())
        self.reactor.turn()
        self.assertTrue(self.table.dumping)  # for what was lost during the first
        self.kernel["dump"].send(DONE)
        self.reactor.turn()
        self.assertFalse(self.source.check_loss())
        self.reactor.turn()
        self.assertEqual((self.table.dumping, self.source.resyncs), (False, 3))

    def test_a_dump_that_stalls_ends_and_is_tried_again(self) -> None:
        """It must not stay under way for ever."""
        self.source.start()
        self.reactor.turn()
        self.kernel["dump"].send(message(UPDATE, 2, state=3))
        self.reactor.turn()
        self.reactor.advance(dumps.STALL_S + 1)
        self.source.check_loss()
        self.assertEqual((self.table.dumping, self.source.refused, len(self.table)), (False, 1, 1))
        self.reactor.turn()
        self.assertTrue(self.table.dumping)

    def test_a_refused_dump_is_tried_again(self) -> None:
        """An error instead of entries, or a socket that cannot be opened."""
        self.source.start()
        self.reactor.turn()
        self.kernel["dump"].send(BUSY)
        self.reactor.turn()
        self.assertEqual((self.table.dumping, self.source.refused), (False, 1))
        self.failing = OSError(errno.EMFILE, "too many open files")
        self.source.check_loss()
        self.reactor.turn()
        self.assertEqual((self.table.dumping, self.source.refused), (False, 2))
        self.failing = None
        self.source.check_loss()
        self.reactor.turn()
        self.kernel["dump"].send(DONE)
        self.reactor.turn()
        self.assertEqual(self.source.resyncs, 1)

    def test_garbage_is_counted(self) -> None:
        """On both sockets, and what is good beside it is taken."""
        self.start()
        self.kernel["events"].send(b"\xff" * 50)
        self.kernel["events"].send(message(NEW, 1, state=3) + b"\x07")
        self.source.resync()
        self.reactor.turn()
        self.kernel["dump"].send(bytes(40))
        self.kernel["dump"].send(b"")
        self.reactor.turn()
        self.assertEqual((self.source.malformed, len(self.table)), (3, 1))

    def test_an_event_socket_that_fails_takes_the_source_down_and_nothing_else(self) -> None:
        """No exception reaches the reactor; it can be started again."""
        self.start()

        class Broken:
            """A socket whose recv fails."""

            def __init__(self, real: socket.socket) -> None:
                self.real = real

            def recv(self, size: int) -> bytes:
                """Fail."""
                raise OSError(errno.ENODEV, "no such device")

            def close(self) -> None:
                """Close the real one."""
                self.real.close()

        reader = self.reactor.readers[0]
        reader.socket = Broken(reader.socket)
        self.reactor.turn()
        self.assertEqual((self.source.up, self.reactor.readers), (False, []))
        self.source.check_loss()
        self.start_again()

    def start_again(self) -> None:
        """Start once more."""
        self.source.start()
        self.reactor.turn()
        self.assertTrue(self.source.up and self.table.dumping)

    def test_overrun_is_no_failure(self) -> None:
        """ENOBUFS says that events were lost; the drop counter says how many."""
        self.start()
        reader = self.reactor.readers[0]
        real, errors = reader.socket, [errno.ENOBUFS, errno.EINTR]

        class Full:
            """A socket whose recv fails twice."""

            def recv(self, size: int) -> bytes:
                """Fail, then read."""
                if errors:
                    raise OSError(errors.pop(), "full")
                return bytes(real.recv(size))

            def close(self) -> None:
                """Close the real one."""
                real.close()

        reader.socket = Full()
        self.kernel["events"].send(message(NEW, 1, state=3))
        self.reactor.turn()
        self.assertEqual((self.source.up, len(self.table)), (True, 1))

    def test_without_rights_start_raises_and_stop_is_safe(self) -> None:
        """The service says so and goes on."""
        self.failing = PermissionError(errno.EPERM, "no")
        self.assertRaises(OSError, self.source.start)
        self.source.stop()
        self.source.resync()
        self.assertFalse(self.source.check_loss())
        self.reactor.turn()
        self.assertEqual(self.table.dumping, False)
