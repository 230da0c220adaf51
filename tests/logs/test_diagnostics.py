"""Diagnostics: the lines, and twistd's way to them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.application.service import Application
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance.logs.diagnostics import (
    LineLogObserver,
    escape_control,
    format_json,
    format_text,
    install_log_observer,
    log_target,
)
from netappliance.logs.reopenable import ReopenableFile


def event(log_format: str, **fields: Any) -> dict[str, Any]:
    """An event as a Logger makes it."""
    return {"log_format": log_format, "log_level": LogLevel.warn, "log_namespace": "here", "log_time": 1.5, **fields}


def failing() -> Failure:
    """A failure with a traceback."""
    try:
        int("bad\nvalue")
    except ValueError:
        return Failure()
    raise AssertionError("unreachable")


class Unprintable:
    """Raises when it is shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class FormatTests(SynchronousTestCase):
    """What one event looks like."""

    def test_text(self) -> None:
        """Time, namespace, level, message."""
        self.assertEqual(
            format_text(event("hello {who}", who="you")), "1970-01-01T00:00:01.500Z [here#warn] hello you\n"
        )

    def test_text_escapes_what_peers_say(self) -> None:
        """A peer cannot begin a line of its own or talk to the terminal."""
        line = format_text(event("peer said {text}", text="x\r\n1970 [root#info] fake \x1b[31m\x85\u2028\x7f"))
        self.assertEqual(line.count("\n"), 1)
        self.assertIn(r"x\r\n1970 [root#info] fake \x1b[31m\x85\u2028\x7f", line)

    def test_text_traceback_is_marked(self) -> None:
        """Lines of a traceback begin with a mark that no event begins with."""
        first, *rest = format_text(event("it broke", log_failure=failing())).splitlines()
        self.assertIn("it broke", first)
        self.assertGreater(len(rest), 2)
        self.assertEqual([line for line in rest if not line.startswith("  | ")], [])

    def test_json(self) -> None:
        """One object with the fields apart from the frame, so that no field can pose as the frame."""
        row = json.loads(
            format_json(event("hello {who}", who="y\nou", level="fake", count=3, ok=True, raw=b"\xff", no=None))
        )
        self.assertEqual(row["message"], "hello y\nou")
        self.assertEqual((row["level"], row["namespace"], row["time"]), ("warn", "here", "1970-01-01T00:00:01.500Z"))
        self.assertEqual(
            row["fields"], {"who": "y\nou", "level": "fake", "count": 3, "ok": True, "raw": "\\xff", "no": None}
        )

    def test_json_traceback(self) -> None:
        """The traceback is a field of the same line."""
        line = format_json(event("it broke", log_failure=failing()))
        self.assertEqual(line.count("\n"), 1)
        self.assertIn("ValueError", json.loads(line)["traceback"])

    def test_failure_without_message(self) -> None:
        """An error logged without words shows the exception's."""
        self.assertIn("bad", json.loads(format_json(event("", log_failure=failing())))["message"])

    def test_long_messages_are_cut(self) -> None:
        """A peer's megabyte does not become a megabyte of log."""
        for form in (format_text, format_json):
            self.assertLess(len(form(event("{x}", x="a" * 1_000_000))), 20_000)

    def test_objects_that_cannot_be_shown(self) -> None:
        """A broken __str__ costs its field, not the event."""
        row = json.loads(format_json(event("hello", thing=Unprintable())))
        self.assertIn("unprintable Unprintable", row["fields"]["thing"])
        self.assertIn("hello", format_text(event("hello", thing=Unprintable())))

    def test_legacy_events(self) -> None:
        """twisted.python.log's events have their message and none of their bookkeeping."""
        legacy = {
            "message": ("old", "style"),
            "isError": 0,
            "system": "-",
            "time": 1.5,
            "log_time": 1.5,
            "log_level": LogLevel.info,
        }
        legacy |= {"log_format": "{log_text}", "log_text": "old style", "log_namespace": "log_legacy"}
        row = json.loads(format_json(legacy))
        self.assertEqual(row["message"], "old style")
        self.assertNotIn("fields", row)

    @settings(deadline=None, max_examples=150)
    @given(
        st.text(),
        st.dictionaries(st.text(min_size=1), st.text() | st.binary() | st.integers() | st.floats(), max_size=4),
    )
    def test_any_event_is_one_line(self, text: str, fields: dict[str, Any]) -> None:
        """Whatever is in the fields, there is one line, without control characters, and the JSON parses."""
        made = {**fields, **event("{text}", text=text)}
        for line in (format_text(made), format_json(made)):
            self.assertEqual(len(line.splitlines()), 1)
            self.assertEqual(escape_control(line[:-1]), line[:-1])
        json.loads(format_json(made))


class ObserverTests(SynchronousTestCase):
    """From a Logger to a file, and over a rotation."""

    def test_writes_and_follows_rotation(self) -> None:
        """After a rename and reopen, new lines are in the new file and old ones in the old."""
        path = Path(self.mktemp())
        target = ReopenableFile(str(path))
        target.open()
        self.addCleanup(target.close)
        observer = LineLogObserver(target, "json")
        verifyObject(ILogObserver, observer)
        log = Logger(namespace="x", observer=observer)
        log.info("one {n}", n=1)
        path.rename(f"{path}.1")
        log.info("two")
        observer.reopen()
        log.info("three")
        messages = [json.loads(line)["message"] for line in Path(f"{path}.1").read_text().splitlines()]
        self.assertEqual(messages, ["one 1", "two"])
        self.assertEqual(json.loads(path.read_text())["message"], "three")

    def test_levels_below_the_least_are_left_out(self) -> None:
        """Debug chatter of libraries stays out unless it is asked for; events without a level are written."""
        for least, expected in (("info", ["info", "warn", "none"]), ("debug", ["debug", "info", "warn", "none"])):
            target = ReopenableFile(self.mktemp())
            target.open()
            self.addCleanup(target.close)
            observer = LineLogObserver(target, "json", least)
            for level in (LogLevel.debug, LogLevel.info, LogLevel.warn):
                observer({"log_format": level.name, "log_level": level, "log_time": 1.0})
            observer({"log_format": "none", "log_time": 1.0})
            lines = Path(target.path).read_text().splitlines()
            self.assertEqual([json.loads(line)["message"] for line in lines], expected)

    def test_a_target_that_fails_is_counted(self) -> None:
        """A full disk costs lines and raises nothing."""
        target = ReopenableFile("/dev/full")
        target.open()
        self.addCleanup(target.close)
        observer = LineLogObserver(target, "text")
        observer(event("x"))
        closed = LineLogObserver(ReopenableFile(self.mktemp()), "text")
        closed(event("x"))
        self.assertGreaterEqual(closed.dropped, 1)


class InstallTests(SynchronousTestCase):
    """What twistd's options make of it."""

    def test_targets(self) -> None:
        """-n is stdout, --logfile a file, a daemon twistd.log; --syslog, --logger, a daemon's stdout stay twistd's."""
        cwd = Path.cwd()
        cases: list[tuple[dict[str, Any], str]] = [
            ({"nodaemon": 1}, "-"),
            ({"nodaemon": 1, "logfile": "-"}, "-"),
            ({"nodaemon": 1, "logfile": "x.log"}, str(cwd / "x.log")),
            ({"nodaemon": 0}, str(cwd / "twistd.log")),
            ({"logfile": "/x/y.log"}, "/x/y.log"),
        ]
        for options, path in cases:
            target = log_target(options)
            assert target is not None
            self.assertEqual(target.path, path)
        others: list[dict[str, Any]] = [{"syslog": 1}, {"logger": lambda: None}, {"nodaemon": 0, "logfile": "-"}]
        for options in others:
            self.assertIsNone(log_target(options))

    def test_component(self) -> None:
        """The observer becomes the application's, which AppLogger prefers over its own."""
        application = Application("test")
        path = self.mktemp()
        observer = install_log_observer(application, "text", {"logfile": path})
        assert observer is not None
        self.addCleanup(observer.target.close)
        self.assertIs(application.getComponent(ILogObserver), observer)
        self.assertTrue(Path(path).exists())

    def test_twistds_own_choice_stays(self) -> None:
        """With --syslog nothing is installed."""
        application = Application("test")
        self.assertIsNone(install_log_observer(application, "json", {"syslog": True}))
        self.assertIsNone(application.getComponent(ILogObserver, None))


class ReopenableFileTests(SynchronousTestCase):
    """The file under both logs."""

    def test_reopen_that_fails_keeps_the_old_file(self) -> None:
        """When the new path cannot be opened, lines go on into the old file."""
        folder = Path(self.mktemp())
        folder.mkdir()
        target = ReopenableFile(str(folder / "log"))
        target.open()
        self.addCleanup(target.close)
        folder.rename(f"{folder}.moved")
        self.assertRaises(OSError, target.reopen)
        target.write(b"still\n")
        self.assertEqual((Path(f"{folder}.moved") / "log").read_bytes(), b"still\n")

    def test_a_stuck_pipe_takes_whole_lines_and_never_blocks(self) -> None:
        """A reader that does not read costs lines; what the pipe took ends at the end of a line."""
        path = Path(self.mktemp())
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        target = ReopenableFile(str(path))
        target.open()
        self.addCleanup(target.close)
        data = b"".join(b"line %d %s\n" % (number, b"x" * (number % 500)) for number in range(2000))
        taken = target.write(data)
        self.assertLess(taken, len(data))
        self.assertGreater(taken, 4096)
        self.assertEqual(data[taken - 1 : taken], b"\n")
        self.assertEqual(target.write(data[taken:]), 0)
        self.assertEqual(os.read(reader, 1 << 20), data[:taken])

    def test_a_fifo_without_reader_is_an_error(self) -> None:
        """Opening does not wait for somebody to read."""
        path = self.mktemp()
        os.mkfifo(path)
        self.assertRaises(OSError, ReopenableFile(path).open)

    def test_new_files_are_not_for_everybody(self) -> None:
        """Logs hold addresses: mode 0640 under an open umask."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        target = ReopenableFile(self.mktemp())
        target.open()
        self.addCleanup(target.close)
        self.assertEqual(Path(target.path).stat().st_mode & 0o777, 0o640)
