"""Certificates that are replaced again and again under load: no handshake fails, no connection breaks."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from urllib.request import urlopen

from benchmarks.builds import INSTALLED
from benchmarks.processes import Bench, free_port
from tests.certificates import Authority, Kind
from tests.tls.visitors import NAME, Manner, Visitor

MANNERS: tuple[Manner, ...] = ("stays", "stays", "comes", "comes", "resumes", "resumes", "rsa", "rsa")
KINDS: tuple[Kind, ...] = ("ecdsa", "rsa")
#: seconds within which a replaced certificate must be in force
PATIENCE_S = 15.0

CONFIG = """[https web]
listen = tcp:{port}:interface=127.0.0.1:backlog=4096
certificates = {folder}/tls
[route all]
listeners = web
cluster = demo
[cluster demo]
backends = 127.0.0.1:{backend}
[demo]
http = tcp:{backend}:interface=127.0.0.1
tcp_echo =
udp_echo =
"""


def run(count: int) -> None:
    """
    Replace that many, ECDSA and RSA in turn; every tenth time the file that comes first is a bad one.

    :raises RuntimeError: something went wrong for a client, or a certificate was not taken up.
    """
    with Bench() as bench:
        root, folder = Authority(), bench.folder / "tls"
        folder.mkdir()
        for kind in KINDS:
            _replace(folder, kind, root)
        port = free_port()
        INSTALLED.start(bench, CONFIG.format(port=port, backend=free_port(), folder=bench.folder), port)
        visitors = [Visitor(port, manner, root) for manner in MANNERS]
        for visitor in visitors:
            visitor.start()
        started = time.monotonic()
        for number in range(1, count + 1):
            kind = KINDS[number % 2]
            if number % 10 == 0:
                shutil.copyfile(__file__, folder / f"{kind}.pem")
                _wait(bench.folder, "bad_files", 1)
            _replace(folder, kind, root)
            _wait(bench.folder, "changes_total", number)
        took = time.monotonic() - started
        for visitor in visitors:
            visitor.leave()
        answers, resumed = (sum(getattr(each, what) for each in visitors) for what in ("answers", "resumed"))
        shown = len(set().union(*(visitor.shown for visitor in visitors)))
        print(
            f"certificates: {count} replaced in {took:.0f} s, {shown} different ones seen, {answers} requests, "
            f"{resumed} sessions resumed, no failure",
            flush=True,
        )
        log = "".join(path.read_text(errors="replace") for path in bench.folder.glob("*.log"))
        if "Traceback" in log or shown < count:
            raise RuntimeError(log[-10_000:])


def _replace(folder: Path, kind: Kind, root: Authority) -> None:
    aside = folder / f".{kind}.pem"
    root.leaf(NAME, kind=kind).write(aside)
    aside.rename(folder / f"{kind}.pem")


def _wait(folder: Path, name: str, least: int) -> None:
    """Wait until a metric has this value."""
    [config] = folder.glob("ours-*.ini")
    found = re.search(r"\[admin\]\nlisten = tcp:(\d+)", config.read_text())
    if found is None:
        raise RuntimeError("no admin listener")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with urlopen(f"http://127.0.0.1:{found[1]}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        value = re.search(rf'netappliance_certificate_{name}\{{listener="web"\}} (\S+)', text)
        if value is not None and float(value[1]) >= least:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {PATIENCE_S} s: {name} {least}")
        time.sleep(0.1)
