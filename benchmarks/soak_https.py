"""HTTPS for long: testssl.sh's whole run, and certificates that are replaced a hundred times under load."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks import backends, http_peers
from benchmarks.processes import Bench, Running
from tests.certificates import Authority
from tests.integration import tls_scanners
from tests.integration.https_load_client import Handshakes, replace

REPLACEMENTS = 100
#: bytes by which the proxy may grow during one proof
GROWTH_LIMIT = 8 * 1024 * 1024
#: seconds that a replacement may take to be served
TAKEN_UP_S = 60


def run() -> None:
    """
    Run them.

    :raises RuntimeError: something was left, broke or grew.
    """
    with Bench() as bench:
        served = bench.folder / "served" / "localhost.pem"
        authority = tls_scanners.write_site(bench.folder)
        proxy = http_peers.ours(bench, backends.small_answers(bench), tls=served)
        root = bench.folder / "ca.pem"
        scan(proxy, root)
        replacements(proxy, authority, root.read_bytes(), served)
        for log in bench.folder.glob("*.log"):
            if "Traceback" in log.read_text(errors="replace"):
                raise RuntimeError(f"there is a traceback:\n{log.read_text(errors='replace')[-3000:]}")


def scan(proxy: Running, ca: Path) -> None:
    """Nothing above informational."""
    program = tls_scanners.testssl_program()
    if program is None:
        print("skipped: testssl.sh is not installed (make peers)")
        return
    started = time.monotonic()
    found = tls_scanners.testssl(program, proxy.port, ca, tls_scanners.WHOLE)
    print(f"testssl.sh: {time.monotonic() - started:.0f} s, {len(found)} findings", flush=True)
    if found:
        raise RuntimeError(f"testssl.sh found {found}")


def replacements(proxy: Running, authority: Authority, trusted: bytes, served: Path) -> None:
    """No handshake fails, no kept connection breaks."""
    memory, started = proxy.rss_bytes(), time.monotonic()
    with Handshakes(proxy.port, trusted) as load:
        for number in range(REPLACEMENTS):
            serial = replace(served, authority, kind="rsa" if number % 2 else "ecdsa")
            deadline = time.monotonic() + TAKEN_UP_S
            while load.serial() != serial:
                if time.monotonic() > deadline:
                    raise RuntimeError("a new certificate is not served")
                time.sleep(0.02)
    took, grown = time.monotonic() - started, proxy.rss_bytes() - memory
    said = f"{load.asked} requests, {len(load.failures)} failures"
    print(f"{REPLACEMENTS} certificates replaced: {took:.0f} s, {said}, grew {grown / 2**20:.1f} MiB")
    if load.failures or grown > GROWTH_LIMIT:
        raise RuntimeError(f"certificates could not be replaced: {load.failures}")
