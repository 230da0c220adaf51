"""
Proxies that start in a fraction of the time: forked from a process that has imported everything but the reactor.

``python -m tests.integration.zygote FOLDER`` listens on ``FOLDER/socket``; each connection sends one JSON object
``{"argv", "cwd", "log"}`` and gets the pid of a child that runs twistd so. When the child ends, its status is written
to ``FOLDER/PID``. Nothing stays open in the tests' process, which looks for leaked descriptors.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

_BUDGET_S = 20.0
#: what a proxy imports sooner or later
WARM = (
    "netappliance.admin.kinds",
    "netappliance.admin.service",
    "netappliance.process.appliance",
    "netappliance.application",
    "netappliance.config.appliance",
    "netappliance.http.filters",
    "netappliance.http.kind",
    "netappliance.http.routes",
    "netappliance.http.routing.kind",
    "netappliance.http.service",
    "netappliance.process.lifecycle",
    "netappliance.qcmp.kind",
    "netappliance.tcp.kind",
    "netappliance.tcp.service",
    "netappliance.udp.kind",
    "netappliance.udp.service",
    "netappliance.plugins.builtin",
    "twisted.internet.epollreactor",
    "twisted.scripts.twistd",
    "unittest",
)


class ForkedProcess:
    """What the tests need of ``subprocess.Popen``, for a child of the zygote."""

    def __init__(self, pid: int, status: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        if self.returncode is None and self._status.exists():
            self.returncode = int(self._status.read_text())
        return self.returncode

    def wait(self, timeout: float = _BUDGET_S) -> int:
        """Return the exit status once there is one."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("twistd", timeout)
            time.sleep(0.005)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process that forks, started when it is first needed and ended with the tests."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def start(self, argv: list[str], cwd: Path, log: Path) -> ForkedProcess:
        """Run twistd with these arguments in a child."""
        folder = self._folder or self._begin()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_BUDGET_S)
            connection.connect(str(folder / "socket"))
            connection.sendall(json.dumps({"argv": argv, "cwd": str(cwd), "log": str(log)}).encode())
            connection.shutdown(socket.SHUT_WR)
            pid = int(connection.recv(64))
        return ForkedProcess(pid, folder / str(pid))

    def _begin(self) -> Path:
        folder = self._folder = Path(tempfile.mkdtemp(prefix="zygote-"))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.zygote", str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
        )
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        atexit.register(process.wait)
        atexit.register(process.kill)
        deadline = time.monotonic() + _BUDGET_S
        while not (folder / "ready").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the zygote does not come up")
            time.sleep(0.01)
        return folder


ZYGOTE = Zygote()


def _warm() -> None:
    """Import what a proxy needs; the reactor is each child's own, for its descriptors must not be shared."""
    for module in WARM:
        importlib.import_module(module)
    list(getPlugins(IServiceMaker))
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError("the reactor must not be imported before the fork")
    gc.collect()
    gc.freeze()


def _child(order: dict[str, str | list[str]]) -> None:
    """Become twistd."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(str(order["cwd"]))
    with open(str(order["log"]), "ab") as log:  # noqa: PTH123 - its descriptor is duplicated
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    random.seed()
    sys.argv = ["twistd", *order["argv"]]
    from twisted.scripts.twistd import run

    run()


def _serve(folder: Path) -> bool:
    """Fork children until the tests' process is gone; True in a child."""
    parent = os.getppid()
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen(64)
    (folder / "ready").touch()
    children: set[int] = set()
    sources: list[socket.socket | int] = [listener, wake]
    while os.getppid() == parent:
        ready = select.select(sources, [], [], 1.0)[0]
        if wake in ready:
            os.read(wake, 4096)
        for pid in list(children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                children.discard(pid)
                made = folder / f"{pid}.new"
                made.write_text(str(os.waitstatus_to_exitcode(status)))
                made.rename(folder / str(pid))
        if listener not in ready:
            continue
        connection, _ = listener.accept()
        with connection:
            data = b""
            while part := connection.recv(65536):
                data += part
            pid = os.fork()
            if not pid:
                connection.close()
                listener.close()
                os.close(wake)
                os.close(woken)
                _child(json.loads(data))
                return True
            (folder / str(pid)).unlink(missing_ok=True)
            children.add(pid)
            connection.sendall(str(pid).encode())
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    return False


if __name__ == "__main__":
    _warm()
    _serve(Path(sys.argv[1]))
