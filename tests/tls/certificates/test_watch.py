"""A directory that changes while it is served."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates import watch
from netappliance.tls.certificates.directory import CertificateSet, prepare
from netappliance.tls.certificates.files import read_file
from netappliance.tls.certificates.refusals import Reason
from netappliance.tls.certificates.statistics import CertificateCollector, CertificateStatistics
from netappliance.tls.certificates.watch import CertificateWatch
from tests.certificates import Authority, Credentials, write_private

ROOT = Authority("root of the tests")
A, A2, B = ROOT.leaf("a.test"), ROOT.leaf("a.test"), ROOT.leaf("b.test")


class CountingClock(Clock):
    """Counts the turns of the reactor that somebody asked for."""

    turns = 0

    def callLater(self, delay: float, *call: Any, **keywords: Any) -> Any:
        """Count."""
        self.turns += delay == 0
        return super().callLater(delay, *call, **keywords)


class WatchTests(SynchronousTestCase):
    """CertificateWatch."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.write("a.pem", A)
        self.clock = CountingClock()
        #: seconds that the wall clock is ahead
        self.ahead = 0.0
        self.handed: list[CertificateSet] = []
        self.threads: list[str] = []
        captured = capturedLogs()
        self.events = captured.__enter__()
        self.addCleanup(captured.__exit__, None, None, None)

    @property
    def lines(self) -> list[str]:
        """What was logged; failures are counted elsewhere."""
        ours = [event for event in self.events if event["log_namespace"] == watch.__name__]
        return [formatEvent(event) for event in ours if event["log_level"] < LogLevel.critical]

    def write(self, name: str, credentials: Credentials) -> None:
        """Replace a file, as a well-behaved program does."""
        aside = self.directory / f".{name}.new"
        credentials.write(aside)
        aside.rename(self.directory / name)

    def start(
        self, build: Callable[[CertificateSet], CertificateSet] = lambda found: found, **options: Any
    ) -> CertificateWatch[CertificateSet]:
        """Serve what is there."""
        self.statistics = CertificateStatistics(prepare(str(self.directory), self.wall(), may_be_empty=True))
        self.watch = CertificateWatch(
            "[https web]",
            self.statistics,
            build,
            self.handed.append,
            self.clock,
            wall=self.wall,
            in_thread=self.in_thread,
            **options,
        )
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        return self.watch

    def wall(self) -> float:
        """Return the time of day."""
        return time.time() + self.ahead

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run it here."""
        if function is read_file:
            self.threads.append(arguments[1])
        return maybeDeferred(function, *arguments)

    def look(self, times: int = 2) -> None:
        """Let it look."""
        for _ in range(times):
            self.clock.advance(watch.INTERVAL_S)
            self.clock.advance(watch.SETTLE_S)

    def served(self) -> list[str]:
        """Return the files whose credentials are in force."""
        return [each.file for each in self.statistics.current.credentials]

    def test_nothing_changes(self) -> None:
        """Nothing is read, nothing handed over."""
        self.start()
        self.look(5)
        self.assertEqual((self.handed, self.threads, self.lines), ([], [], []))

    def test_replaced(self) -> None:
        """The others keep their identity."""
        self.write("b.pem", B)
        self.start()
        first = self.statistics.current.credentials
        self.write("a.pem", A2)
        self.look()
        (new,) = self.handed
        self.assertIs(new, self.statistics.current)
        self.assertNotEqual(new.credentials[0].fingerprint, first[0].fingerprint)
        self.assertIs(new.credentials[1], first[1])
        self.assertEqual(self.threads, ["a.pem"])
        self.assertEqual(self.lines, ["[https web] certificate a.pem taken up: a.test"])
        self.assertEqual(self.statistics.changes, 1)
        self.look(3)
        self.assertEqual(len(self.handed), 1)

    def test_written_anew_with_the_same_content(self) -> None:
        """Read, and nothing else."""
        self.start()
        self.write("a.pem", A)
        self.look()
        self.assertEqual((self.threads, self.handed, self.lines), (["a.pem"], [], []))

    def test_added_and_removed(self) -> None:
        """Told."""
        self.start()
        self.write("b.pem", B)
        self.look()
        self.assertEqual(self.served(), ["a.pem", "b.pem"])
        (self.directory / "a.pem").unlink()
        self.look()
        self.assertEqual(self.served(), ["b.pem"])
        self.assertEqual(len(self.handed), 2)
        self.assertEqual(self.lines[-1], "[https web] certificate a.pem was removed")

    def test_half_written(self) -> None:
        """A file that grows is not read before it has come to rest."""
        self.start()
        text = A2.key_pem + A2.chain_pem
        for wait, end in ((watch.INTERVAL_S, 1), (watch.SETTLE_S, 300), (watch.SETTLE_S, 600)):
            write_private(self.directory / "a.pem", text[:end])
            self.clock.advance(wait)
        write_private(self.directory / "a.pem", text)
        self.look(2)
        self.assertEqual(self.lines, ["[https web] certificate a.pem taken up: a.test"])
        self.assertEqual(self.threads, ["a.pem"])

    def test_a_bad_file_is_told_once_and_the_old_certificate_kept(self) -> None:
        """Until it is good again."""
        self.start()
        old = self.statistics.current.credentials
        write_private(self.directory / "a.pem", A2.chain_pem)
        self.look(5)
        self.assertEqual(self.lines, [f"[https web] certificates: {self.directory}/a.pem: holds no private key"])
        self.assertEqual((self.handed, self.statistics.current.credentials), ([], old))
        self.assertEqual(self.statistics.bad_files, 1)
        os.utime(self.directory / "a.pem", (1, 1))  # as bad as before
        self.look()
        self.assertEqual(len(self.lines), 1)
        self.assertEqual(self.statistics.refusals, {Reason.NO_KEY: 2})
        self.write("a.pem", A)
        self.look()
        self.assertEqual(self.lines[1:], ["[https web] certificate a.pem taken up: a.test"])
        self.assertEqual(self.statistics.bad_files, 0)
        self.assertIs(self.statistics.current.credentials[0], old[0])

    def test_a_mode_that_is_too_wide(self) -> None:
        """A change of the mode is a change."""
        self.start()
        (self.directory / "a.pem").chmod(0o644)
        self.look()
        self.assertIn("mode 0644", self.lines[0])
        self.assertEqual(self.served(), ["a.pem"])
        (self.directory / "a.pem").chmod(0o600)
        self.look()
        self.assertEqual(self.statistics.bad_files, 0)

    def test_a_link_that_leads_nowhere(self) -> None:
        """Told once, and forgotten when it goes."""
        self.start()
        (self.directory / "b.pem").symlink_to("nowhere")
        self.look(5)
        self.assertEqual(len(self.lines), 1)
        self.assertIn("b.pem: cannot be read: No such file", self.lines[0])
        self.assertEqual((self.statistics.bad_files, self.threads), (1, ["b.pem"]))
        (self.directory / "b.pem").unlink()
        self.look()
        self.assertEqual(self.statistics.bad_files, 0)

    def test_the_last_and_the_default_stay(self) -> None:
        """Told, once."""
        self.start(default="a")
        self.write("b.pem", B)
        self.look()
        (self.directory / "a.pem").unlink()
        self.look(5)
        self.assertEqual(self.served(), ["a.pem", "b.pem"])
        self.assertEqual(len(self.lines), 2)
        self.assertIn("a.pem: was removed, and is served until the next start", self.lines[1])
        self.assertEqual(self.statistics.refusals, {Reason.REMOVED: 1})

    def test_a_directory_that_goes(self) -> None:
        """Told once, nothing changes; then it is there again."""
        self.start()
        aside = self.directory.with_name(self.directory.name + "-aside")
        self.directory.rename(aside)
        self.look(4)
        self.assertEqual(len(self.lines), 1)
        self.assertIn("cannot be read: No such file or directory; changes are not taken up", self.lines[0])
        self.assertEqual((self.served(), self.statistics.bad_files), (["a.pem"], 1))
        aside.rename(self.directory)
        self.write("b.pem", B)
        self.look()
        self.assertEqual((self.served(), self.statistics.bad_files), (["a.pem", "b.pem"], 0))

    def test_one_that_may_be_empty(self) -> None:
        """Or not be there: certificates come later, and may go."""
        (self.directory / "a.pem").unlink()
        self.directory.rmdir()
        self.start(may_be_empty=True)
        self.look()
        self.directory.mkdir()
        self.write("a.pem", A)
        self.look()
        (self.directory / "a.pem").unlink()
        self.look()
        self.assertEqual([len(each.credentials) for each in self.handed], [1, 0])
        self.assertEqual(self.statistics.bad_files, 0)

    def test_many_files_are_looked_at_in_slices(self) -> None:
        """A turn of the reactor sees no more of them than one slice."""
        for number in range(2 * watch.SLICE):
            (self.directory / f"n{number}.pem").symlink_to("a.pem")
        self.start()
        before = len(self.statistics.current.files)
        self.write("zz.pem", B)
        self.look(1)
        self.assertGreaterEqual(self.clock.turns, 2 * before // watch.SLICE)
        self.look(1)
        self.assertEqual(self.served()[-1], "zz.pem")

    def test_expiry(self) -> None:
        """At the start, and while it runs; a new certificate is looked at when it comes."""
        self.write("b.pem", ROOT.leaf("b.test", ends=timedelta(days=20), starts=timedelta(days=-60)))
        self.start()
        self.assertEqual(len(self.lines), 1)
        self.assertIn("[https web] certificate b.pem expires in less than 30 days", self.lines[0])
        self.ahead = 14 * 86400.0
        self.look(3)
        self.assertEqual(len(self.lines), 2)
        self.assertIn("b.pem expires in less than 7 days", self.lines[1])
        self.write("b.pem", ROOT.leaf("b.test", ends=timedelta(days=14, hours=1), starts=timedelta(days=-60)))
        self.look(3)
        self.assertIn("b.pem expires in less than 1 day,", self.lines[-1])

    def test_one_that_becomes_valid_is_handed_over(self) -> None:
        """The same set again, for the choice may be another one."""
        self.write("b.pem", ROOT.leaf("a.test", starts=timedelta(hours=1)))
        self.start()
        self.look()
        self.assertIn("b.pem is not valid before", self.lines[0])
        self.assertEqual(self.handed, [])
        self.ahead = 3700.0
        self.look()
        self.assertEqual(self.handed, [self.statistics.current])

    def test_a_failure_to_take_it_over(self) -> None:
        """Is contained, and it goes on looking."""

        def failing(new: CertificateSet) -> CertificateSet:
            raise ZeroDivisionError

        self.start(failing)
        self.write("a.pem", A2)
        self.look()
        self.write("a.pem", A)
        self.look()
        self.assertEqual((self.handed, self.statistics.changes), ([], 0))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_stopped_while_it_reads(self) -> None:
        """What comes of the thread is dropped; no timer is left."""
        reading: list[tuple[Deferred[Any], tuple[Any, ...]]] = []
        self.in_thread = lambda function, *arguments: self._later(reading, function, *arguments)  # type: ignore[method-assign]
        self.start()
        self.write("a.pem", A2)
        self.look()
        self.assertEqual(len(reading), 1)
        self.watch.stopService()
        result, (function, *arguments) = reading[0]
        result.callback(function(*arguments))
        self.assertEqual((self.handed, self.lines), ([], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @staticmethod
    def _later(reading: list[Any], *call: Any) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        reading.append((result, call))
        return result

    def test_stopped_while_it_looks(self) -> None:
        """Nothing is left, nothing is logged."""
        self.start()
        # the first step of a look is the next turn's
        self.clock.rightNow += watch.INTERVAL_S
        timer = self.clock.calls.pop(0)
        timer.called = 1
        timer.func()
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [self.clock.seconds()])
        self.watch.stopService()
        self.clock.advance(60)
        self.assertEqual((self.clock.getDelayedCalls(), self.lines), ([], []))

    def test_metrics(self) -> None:
        """As a scraper sees them."""
        self.start()
        write_private(self.directory / "b.pem", b"")
        self.look()
        registry = CollectorRegistry()
        registry.register(CertificateCollector("web", self.statistics))
        text = generate_latest(registry).decode()
        expires = self.statistics.current.credentials[0].not_after
        for name, labels, value in (
            ("expires_timestamp_seconds", '{listener="web",name="a"}', expires),
            ("bad_files", '{listener="web"}', 1),
            ("changes_total", '{listener="web"}', 0),
            ("refusals_total", '{listener="web",reason="no_certificate"}', 1),
            ("refusals_total", '{listener="web",reason="mode"}', 0),
        ):
            (line,) = [
                line for line in text.splitlines() if line.startswith(f"netappliance_certificate_{name}{labels} ")
            ]
            self.assertEqual(float(line.split()[1]), value, line)
