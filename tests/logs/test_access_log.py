"""The access log: what a line says, and what happens when the file takes no lines."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.errors import StartError
from netappliance.interfaces import IConnectionObserver
from netappliance.logs.access_log import AccessLog, JsonLines, common_line
from netappliance.logs.file_thread import FileThread
from netappliance.logs.line_log import AtOnce, LineLog, Made
from netappliance.logs.reopenable import ReopenableFile
from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side
from netappliance.sessions.session import Session

NORMAL = CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)
REFUSED = CloseReason(Side.BACKEND, Phase.CONNECT, Cause.RST)
WALL = 1_700_000_000.0


def named(identity: str) -> Backend:
    """A backend with this id."""
    return Backend(BackendSection(identity, "127.0.0.1", 7), 2, ("127.0.0.1", 7), identity)


def ended(reason: CloseReason | None = NORMAL, **changes: Any) -> Session:
    """A session that ended."""
    session = Session("tcp", "echo", ("192.0.2.1", 40000), ("192.0.2.9", 9000), 10.0)
    session.id = 7
    session.cluster = "web"
    session.backend = named("a")
    session.duration = 1.25
    session.rx_bytes, session.tx_bytes = 200, 100
    session.close_reason = reason
    for name, value in changes.items():
        setattr(session, name, value)
    return session


class FakeFile(ReopenableFile):
    """Takes as much as it is told to."""

    __slots__ = ("error", "opened", "room", "written")

    def __init__(self) -> None:
        super().__init__("/nowhere/access.log")
        self.room = 1 << 30
        self.written = b""
        self.error: OSError | None = None
        self.opened = False

    @property
    def is_open(self) -> bool:
        return self.opened

    def open(self) -> None:
        self.opened = True

    def close(self) -> None:
        self.opened = False

    def reopen(self) -> None:
        if self.error is not None:
            raise self.error
        self.written += b"[reopened]\n"

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        taken = data[: self.room]
        self.room -= len(taken)
        self.written += taken
        return len(taken)


class LineTests(SynchronousTestCase):
    """The two formats."""

    def test_json_fields(self) -> None:
        """Every field of the vocabulary, in order, with the start on the wall clock."""
        row = json.loads(JsonLines()(ended(), WALL + 0.5))
        self.assertEqual(
            list(row.items()),
            [
                ("id", 7),
                ("kind", "tcp"),
                ("listener", "echo"),
                ("client", "192.0.2.1:40000"),
                ("local", "192.0.2.9:9000"),
                ("cluster", "web"),
                ("backend", "a"),
                ("start", "2023-11-14T22:13:20.500Z"),
                ("duration_s", 1.25),
                ("rx_bytes", 200),
                ("tx_bytes", 100),
                ("rx_packets", 0),
                ("tx_packets", 0),
                ("side", "client"),
                ("phase", "data"),
                ("cause", "fin"),
                ("code", "--"),
            ],
        )

    def test_json_without_backend(self) -> None:
        """A session that never had a backend has an empty one, and HAProxy's letters say where it failed."""
        row = json.loads(JsonLines()(ended(REFUSED, backend=None, cluster=""), WALL))
        self.assertEqual((row["backend"], row["cluster"], row["code"]), ("", "", "SC"))

    def test_json_notes(self) -> None:
        """What observers noted is in the line, unless it is too much."""
        row = json.loads(JsonLines()(ended(notes={"user": 'x"\n', "n": 1, "raw": b"\xff"}), WALL))
        self.assertEqual(row["notes"]["user"], 'x"\n')
        row = json.loads(JsonLines()(ended(notes={"user": "x" * 10000}), WALL))
        self.assertEqual(row["notes_left_out"], True)

    def test_common(self) -> None:
        """The common log format's shape, then what it lacks."""
        self.assertEqual(
            common_line(ended(), WALL),
            '192.0.2.1:40000 - - [14/Nov/2023:22:13:20 +0000] "tcp echo web/a" -- 200 100 1.250 7 client/data/fin\n',
        )

    @settings(deadline=None, max_examples=100)
    @given(st.text(), st.text(), st.text())
    def test_no_text_breaks_a_line(self, host: str, cluster: str, backend: str) -> None:
        """Whatever names and socket paths hold, a line is one line of printable ASCII, and the JSON gives them back."""
        session = ended(client=(host, 1), cluster=cluster, backend=named(backend))
        for line in (JsonLines()(session, WALL), common_line(session, WALL)):
            self.assertTrue(line.isascii())
            self.assertTrue(line[:-1].isprintable())
            self.assertEqual(line[-1], "\n")
        row = json.loads(JsonLines()(session, WALL))
        self.assertEqual((row["cluster"], row["backend"]), (cluster, backend))


class WriterTests(SynchronousTestCase):
    """Batches, limits and failures, without a file."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.file = FakeFile()
        self.log = AccessLog(
            self.file,
            "common",
            buffer_bytes=1000,
            clock=self.clock.seconds,
            wall=lambda: WALL,
            call_later=self.clock.callLater,
        )
        self.log.startService()
        self.line = common_line(ended(), WALL - 1.25).encode()

    def tearDown(self) -> None:
        self.log.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_is_an_observer_that_refuses_nobody(self) -> None:
        """It implements the plug point."""
        verifyObject(IConnectionObserver, self.log)
        opened: Any = self.log.session_opened
        self.assertIsNone(opened(ended()))

    def test_lines_go_out_together_within_a_second(self) -> None:
        """Nothing is written per session; all of a moment's lines go in one write."""
        for _ in range(3):
            self.log.session_closed(ended())
        self.assertEqual(self.file.written, b"")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(1)
        self.assertEqual(self.file.written, self.line * 3)

    def test_the_buffer_is_bounded(self) -> None:
        """While the file takes nothing, lines beyond the limit are counted and lost; the older ones are kept."""
        self.file.error = OSError(28, "No space left on device")
        for number in range(100):
            self.log.session_closed(ended(id=number))
            self.clock.advance(0.1)
        kept = 1000 // len(self.line)
        self.assertEqual(self.log.dropped_total, 100 - kept)
        self.assertEqual(self.log.lines_total, 100)
        self.file.error = None
        self.clock.advance(2)
        self.assertEqual(self.file.written.count(b"\n"), kept)
        self.assertIn(b" 0 client/data/fin", self.file.written)

    def test_a_failing_file_is_logged_once_a_minute(self) -> None:
        """A full disk does not fill the other log."""
        events: list[Any] = []
        observer: Any = events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.file.error = OSError(28, "No space left on device")
        self.log.session_closed(ended())
        self.clock.pump([0.5] * 100)
        self.assertGreater(self.log.errors_total, 30)
        self.assertEqual(len(events), 1)
        self.clock.pump([0.5] * 40)
        self.assertEqual(len(events), 2)
        self.file.error = None

    def test_short_writes_never_tear_a_line(self) -> None:
        """What a short write left goes first next time."""
        self.file.room = len(self.line) + 10
        for _ in range(3):
            self.log.session_closed(ended())
        self.clock.advance(0.5)
        self.assertEqual(len(self.file.written), len(self.line) + 10)
        self.file.room = 5
        self.clock.advance(1)
        self.file.room = 1 << 20
        self.clock.advance(1)
        self.assertEqual(self.file.written, self.line * 3)

    def test_stop_writes_what_waits(self) -> None:
        """The last sessions of a drain have their lines."""
        self.log.session_closed(ended())
        self.log.stopService()
        self.assertEqual(self.file.written, self.line)
        self.assertFalse(self.file.opened)

    def test_stop_counts_what_is_lost(self) -> None:
        """Lines that could not be written at the end are counted."""
        self.file.error = OSError(28, "No space left on device")
        self.log.session_closed(ended())
        self.log.stopService()
        self.assertEqual(self.log.dropped_total, 1)

    def test_reopen(self) -> None:
        """What waits goes into the old file; a reopen that fails is counted and the log goes on."""
        self.log.session_closed(ended())
        self.log.reopen()
        self.assertEqual(self.file.written, self.line + b"[reopened]\n")
        self.file.error = OSError(2, "No such file or directory")
        self.log.reopen()
        self.assertEqual(self.log.errors_total, 1)
        self.file.error = None


class Held(AtOnce):
    """Runs calls when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.stopped = False

    def run(self, call: Callable[[], Made]) -> Deferred[Made]:
        """Keep it."""
        done: Deferred[Made] = Deferred()
        self.calls.append((call, done))
        return done

    def stop(self) -> None:
        """Note."""
        self.stopped = True

    def go(self) -> None:
        """Run the only one."""
        [(call, done)] = self.calls
        self.calls.clear()
        execute(call).chainDeferred(done)


class SlowDiskTests(SynchronousTestCase):
    """While a write is under way the log goes on, and nothing else is done to the file."""

    def setUp(self) -> None:
        self.clock, self.file, self.disk = Clock(), FakeFile(), Held()
        self.log = LineLog("test", self.file, 100, self.clock.callLater, self.clock.seconds, self.disk)
        self.log.startService()

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lines_wait_for_the_write_before_them(self) -> None:
        """In order, one write at a time, all within the limit."""
        self.log.put("a" * 29 + "\n")
        self.clock.advance(1)
        self.log.put("b" * 29 + "\n")
        self.log.put("c" * 29 + "\n")
        self.log.put("d" * 29 + "\n")
        self.assertEqual((self.clock.getDelayedCalls(), len(self.disk.calls), self.log.dropped_total), ([], 1, 1))
        self.disk.go()
        self.log.put("e" * 29 + "\n")
        self.clock.advance(1)
        self.disk.go()
        self.assertEqual(self.file.written[::30], b"abce")

    def test_many_lines_do_not_wait_for_more(self) -> None:
        """Or a buffer would be full before its time; but a file that takes nothing is not asked for each line."""
        self.log.put("a" * 49 + "\n")
        self.assertEqual(self.disk.calls, [])
        self.log.put("b\n")
        self.assertEqual((len(self.disk.calls), self.clock.getDelayedCalls()), (1, []))
        self.file.error = OSError(28, "No space left on device")
        self.disk.go()
        self.log.put("c\n")
        self.assertEqual((self.disk.calls, self.log.errors_total), ([], 1))
        self.file.error = None
        self.clock.advance(1)
        self.disk.go()
        self.assertEqual(self.file.written[50:], b"b\nc\n")

    def test_reopen_comes_after_all_that_waited_when_it_was_asked_for(self) -> None:
        """Though a write was under way then."""
        self.log.put("1\n")
        self.clock.advance(1)
        self.log.put("2\n")
        self.log.reopen()
        self.disk.go()
        self.log.put("3\n")
        self.disk.go()
        self.assertEqual(self.file.written, b"1\n2\n")
        self.disk.go()
        self.clock.advance(1)
        self.disk.go()
        self.assertEqual(self.file.written, b"1\n2\n[reopened]\n3\n")

    def test_stop_waits_for_the_disk(self) -> None:
        """All lines are written before the file is closed."""
        self.log.put("1\n")
        self.clock.advance(1)
        self.log.put("2\n")
        stopped = self.log.stopService()
        self.disk.go()
        self.assertNoResult(stopped)
        self.assertTrue(self.file.opened)
        self.disk.go()
        self.successResultOf(stopped)
        self.assertEqual((self.file.written, self.file.opened, self.disk.stopped), (b"1\n2\n", False, True))


class Mailbox:
    """What a thread asks the reactor to call."""

    def __init__(self) -> None:
        self.calls: Queue[Callable[[], Any]] = Queue()

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Keep it."""
        self.calls.put(partial(call, *arguments))


class ThreadTests(SynchronousTestCase):
    """The thread itself."""

    def test_lines_reach_a_file_by_way_of_the_thread(self) -> None:
        """The one that the reactor runs in writes nothing; what fails there is an error of the log."""
        threads: list[str] = []

        class Noting(ReopenableFile):
            """Knows who writes."""

            def write(self, data: bytes) -> int:
                """Note."""
                threads.append(threading.current_thread().name)
                return super().write(data)

        path, mailbox = self.mktemp(), Mailbox()
        for place in (path, "/dev/full"):
            clock = Clock()
            disk = FileThread(mailbox, "disk")
            log = LineLog("test", Noting(place), 1000, clock.callLater, clock.seconds, disk)
            log.startService()
            log.put("line\n")
            stopped = log.stopService()
            mailbox.calls.get()()
            self.successResultOf(stopped)
            self.assertEqual((log.errors_total, log.dropped_total), (int(place != path),) * 2)
        self.assertEqual(Path(path).read_text(), "line\n")
        self.assertEqual(len(threads), 2)
        self.assertNotIn(threading.current_thread().name, threads)


class RealFileTests(SynchronousTestCase):
    """With files."""

    def make(self, path: str) -> tuple[AccessLog, Clock]:
        clock = Clock()
        log = AccessLog(
            ReopenableFile(path),
            "json",
            buffer_bytes=10_000,
            clock=clock.seconds,
            wall=lambda: WALL,
            call_later=clock.callLater,
        )
        return log, clock

    def test_rotation(self) -> None:
        """Rename, reopen: later lines are in the new file."""
        path = Path(self.mktemp())
        log, clock = self.make(str(path))
        log.startService()
        log.session_closed(ended(id=1))
        clock.advance(1)
        path.rename(f"{path}.1")
        log.session_closed(ended(id=2))
        log.reopen()
        log.session_closed(ended(id=3))
        log.stopService()
        self.assertEqual([json.loads(line)["id"] for line in Path(f"{path}.1").read_text().splitlines()], [1, 2])
        self.assertEqual([json.loads(line)["id"] for line in path.read_text().splitlines()], [3])

    def test_a_full_disk(self) -> None:
        """ENOSPC from the kernel is counted and hurts nobody."""
        log, clock = self.make("/dev/full")
        log.startService()
        log.session_closed(ended())
        clock.advance(1)
        log.stopService()
        self.assertGreaterEqual(log.errors_total + log.dropped_total, 1)

    def test_a_path_that_cannot_be_opened_stops_the_start(self) -> None:
        """A missing folder or a FIFO without reader is an error with the path."""
        fifo = self.mktemp()
        os.mkfifo(fifo)
        for path in (f"{self.mktemp()}/no/access.log", fifo):
            log, _ = self.make(path)
            error = self.assertRaises(StartError, log.startService)
            self.assertIn(path, str(error))
