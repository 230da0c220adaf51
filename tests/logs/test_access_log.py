"""The access log: what a line says, and what happens when the file takes no lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.errors import StartError
from netappliance.interfaces import IConnectionObserver
from netappliance.logs.access_log import AccessLog, JsonLines, common_line
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
