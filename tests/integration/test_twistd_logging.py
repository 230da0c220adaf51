"""Diagnostics under the real twistd: who writes them, in which form, and over a rotation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

TAC = """
import signal
from twisted.application.service import Application, MultiService
from twisted.logger import Logger
from netappliance.logs.diagnostics import install_log_observer
import sys
options = {options!r}
log = Logger(namespace="tac")

class Root(MultiService):
    def setServiceParent(self, parent):
        self.observer = install_log_observer(parent, {form!r}, options)
        super().setServiceParent(parent)

    def startService(self):
        super().startService()
        from twisted.internet import reactor
        log.warn("peer said {{text}}", text="a\\nb\\x1b")
        reactor.callWhenRunning(self.running_now)

    def running_now(self):
        from twisted.internet import reactor
        if {stay!r}:
            assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
            signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(self.reopen))
            log.info("waiting")
        else:
            reactor.stop()

    def reopen(self):
        self.observer.reopen()
        log.info("reopened")

application = Application("test")
Root().setServiceParent(application)
"""

BUDGET_S = 20.0


class TwistdLoggingTests(SynchronousTestCase):
    """One short twistd per case."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="logging"))
        self.addCleanup(rmtree, self.folder)

    def spawn(self, form: str, *arguments: str, stay: bool = False, **options: object) -> subprocess.Popen[bytes]:
        tac = self.folder / "app.tac"
        tac.write_text(TAC.format(form=form, options=options, stay=stay))
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        process = subprocess.Popen(
            [*command, "-n", "--pidfile=", *arguments, "-oy", str(tac)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.addCleanup(process.kill)
        return process

    def output(self, process: subprocess.Popen[bytes]) -> str:
        printed, _ = process.communicate(timeout=BUDGET_S)
        self.assertEqual(process.returncode, 0, printed)
        return printed.decode()

    def wait_for(self, path: Path, text: str) -> None:
        deadline = time.monotonic() + BUDGET_S
        while not path.exists() or text not in path.read_text():
            self.assertLess(time.monotonic(), deadline, f"{path.name} never had {text!r}")
            time.sleep(0.02)

    def test_json_on_stdout(self) -> None:
        """With -n every line of stdout is one JSON object, twistd's own first and last messages too."""
        rows = [json.loads(line) for line in self.output(self.spawn("json", nodaemon=1)).splitlines()]
        messages = [row["message"] for row in rows]
        self.assertTrue(any("starting up" in message for message in messages))
        self.assertEqual(messages[-1], "Server Shut Down.")
        (ours,) = (row for row in rows if row["namespace"] == "tac")
        self.assertEqual((ours["level"], ours["fields"]), ("warn", {"text": "a\nb\x1b"}))

    def test_text_in_a_logfile(self) -> None:
        """With --logfile the file has our lines, stdout has none."""
        path = self.folder / "x.log"
        process = self.spawn("text", f"--logfile={path}", nodaemon=1, logfile=str(path))
        self.assertEqual(self.output(process), "")
        self.assertIn(r"[tac#warn] peer said a\nb\x1b" + "\n", path.read_text())

    def test_twistds_logger_option_wins(self) -> None:
        """An observer that the operator named on the command line is the one that is used."""
        process = self.spawn("json", "--logger=twisted.logger.STDLibLogObserver", nodaemon=1, logger="x")
        self.assertNotIn('"message"', self.output(process))

    def test_rotation_by_signal(self) -> None:
        """Twistd leaves SIGUSR1 to us; after rename and signal the new file has the new lines."""
        path = self.folder / "x.log"
        process = self.spawn("text", f"--logfile={path}", nodaemon=1, logfile=str(path), stay=True)
        self.wait_for(path, "waiting")
        path.rename(self.folder / "x.log.1")
        process.send_signal(signal.SIGUSR1)
        self.wait_for(path, "reopened")
        self.assertNotIn("waiting", path.read_text())
        process.terminate()
        process.communicate(timeout=BUDGET_S)
