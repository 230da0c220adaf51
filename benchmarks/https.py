"""HTTPS on one core with a P-256 certificate and TLS 1.3: requests, large responses, handshakes, idle memory."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import backends, http_peers, rows
from benchmarks.backends import MIB
from benchmarks.http import CONNECTIONS, FEW, write_requests
from benchmarks.load import Wrk, available, connections_possible, idle_memory
from benchmarks.plan import Load, Plan
from benchmarks.processes import PEER_CORE, Bench, Running
from benchmarks.report import Report

ROWS = ("https-requests", "https-responses", "handshakes", "resumed", "https-idle")
#: connections that wait in the row of memory
IDLE = 5000
#: handshakes under way at a time: Sōzu remembers 256 sessions, and gives four tickets to each connection
AT_ONCE = 32
#: those that send no ticket before there is a response
SILENT = ("envoy",)
#: names in the certificate: that of handshakes, those of requests
NAMES = "DNS:localhost,DNS:*.example.com"
#: openssl.cnf of wrk: every server chooses the same, having no choice
OFFERS = """
openssl_conf = all
[all]
ssl_conf = modules
[modules]
system_default = offers
[offers]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = P-256
"""


@dataclass(frozen=True)
class Handshakes:
    """
    ``tls_load.c`` against a proxy.

    :param tool: the program.
    :param way: ``new`` or ``resumed``.
    """

    tool: str
    seconds: int
    way: str

    def __call__(self, proxy: Running) -> tuple[float, float]:
        """
        Return (handshakes per second, CPU microseconds of the proxy for each).

        :raises subprocess.CalledProcessError: a handshake failed, or was not what it should be.
        """
        before = proxy.cpu_seconds()
        command = ["taskset", "-c", PEER_CORE, self.tool, str(proxy.port), str(AT_ONCE), str(self.seconds), self.way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        count, seconds = (float(word) for word in done.stdout.split())
        return count / seconds, (proxy.cpu_seconds() - before) / count * 1e6


def run(report: Report, plan: Plan) -> None:
    """Add the HTTPS rows."""
    if not plan.has_row(*ROWS) or not available("wrk", "nginx", "taskset", "openssl"):
        return
    with Bench() as bench:
        pem = write_certificate(bench.folder / "tls")
        ours = partial(http_peers.ours, tls=pem)
        proxies = plan.start(report, bench, backends.small_answers(bench), ours, http_peers.with_tls(pem))
        if plan.has_row("https-idle"):  # before others have grown what is kept
            idle(report, plan, proxies)
        traffic(report, plan, bench, proxies)
        if plan.has_row("handshakes", "resumed") and available("cc"):
            handshakes(report, plan, bench, proxies)


def traffic(report: Report, plan: Plan, bench: Bench, proxies: list[Running]) -> None:
    """Small requests and large responses over kept connections."""
    offers = Path(bench.write("openssl.cnf", OFFERS))
    _, script = write_requests(bench.folder, "keep")
    small = Wrk(plan.seconds, CONNECTIONS, script=script, tls=offers)
    large = Wrk(plan.seconds, FEW, path="/large", tls=offers)
    if plan.has_row("https-requests"):
        plan.put(report, Load(rows.HTTPS_REQUESTS, rows.HTTPS_REQUESTS_CPU, small), proxies)
    if plan.has_row("https-responses"):
        plan.put(report, Load(rows.HTTPS_RESPONSES, rows.HTTPS_RESPONSES_CPU, large, MIB), proxies)


def handshakes(report: Report, plan: Plan, bench: Bench, proxies: list[Running]) -> None:
    """Full and resumed ones; what the client leaves out is said in ``tls_load.c``."""
    tool = str(bench.folder / "tls_load")
    source = str(Path(__file__).with_name("tls_load.c"))
    command = ["cc", "-O2", "-o", tool, source, "-lssl", "-lcrypto"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        print("skipped: OpenSSL's headers are not installed (make peers)")
        return
    proxies = [proxy for proxy in proxies if proxy.name not in SILENT]
    if plan.has_row("handshakes"):
        new = Handshakes(tool, plan.seconds, "new")
        plan.put(report, Load(rows.HTTPS_HANDSHAKES, rows.HTTPS_HANDSHAKES_CPU, new), proxies)
    if plan.has_row("resumed"):
        resumed = Handshakes(tool, plan.seconds, "resumed")
        plan.put(report, Load(rows.HTTPS_RESUMED, rows.HTTPS_RESUMED_CPU, resumed), proxies)


def idle(report: Report, plan: Plan, proxies: list[Running]) -> None:
    """Memory that idle connections add, each of which had one request."""
    count = connections_possible(IDLE)

    def measure(proxy: Running) -> None:
        idle_memory(proxy, 10, tls=True)  # what is allocated once
        before = proxy.rss_bytes() / 2**20
        added = idle_memory(proxy, count, tls=True) - before
        report.add(rows.HTTPS_MEMORY, proxy.name, added, lower_is_better=True)

    once = Plan(1, plan.seconds)  # memory that a process has once had is no measure the second time
    once.interleave(report, rows.HTTPS_MEMORY, proxies, measure)
    report.note(f"{count} idle HTTPS connections")


def write_certificate(folder: Path) -> Path:
    """Write a self-signed P-256 certificate: ``site.crt``, ``site.key`` and both in ``site.pem``, which is returned."""
    folder.mkdir(mode=0o700)
    certificate, key, pem = (folder / f"site.{kind}" for kind in ("crt", "key", "pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "30", "-subj", "/CN=localhost", "-addext", f"subjectAltName={NAMES}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, capture_output=True, check=True)
    pem.touch(mode=0o600)
    pem.write_bytes(certificate.read_bytes() + key.read_bytes())
    return pem
