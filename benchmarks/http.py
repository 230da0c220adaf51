"""HTTP: requests with a browser's headers, new connections, large responses, and latency at one and the same rate."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from benchmarks import http_peers, load
from benchmarks.http_peers import LARGE
from benchmarks.peers import PEER_CORE, Bench, Running
from benchmarks.report import Report

CONNECTIONS = 64
REQUESTS = "http requests/s over 64 connections"
P99 = "http p99 us at the same rate"
BULK = "http 1 MiB responses MiB/s"
#: the same rate for all is this much of the slower one's maximum, of ours and HAProxy's
LOAD = 0.5
#: wrk with requests that are built before the first is sent
SCRIPT = """
local file = assert(io.open("{path}", "rb"))
local text = file:read("*a")
file:close()
local requests, at = {{}}, 0
for request in text:gmatch(".-\\r\\n\\r\\n") do requests[#requests + 1] = request end
local count = #requests
function request()
  at = at % count + 1
  return requests[at]
end
"""


def browser_requests(count: int = 256, *, close: bool = False) -> bytes:
    """
    Return GET requests as a browser sends them, the same at every call: varied paths, queries and cookies, and a dozen
    headers.

    :param close: each asks for its connection to be closed.
    """
    chosen = random.Random(20)
    requests = []
    for number in range(count):
        folder = chosen.choice(("articles", "static/js", "static/img", "api/v2/orders", "users", "search"))
        leaf = f"{chosen.getrandbits(48):012x}.{chosen.choice(('html', 'js', 'png', 'json'))}"
        query = f"?page={chosen.randrange(400)}&sort={chosen.choice(('date', 'name', 'size'))}" if number % 3 else ""
        lines = [
            f"GET /{folder}/{leaf}{query} HTTP/1.1",
            f"Host: {chosen.choice(('www', 'shop', 'static'))}.example.com",
            f"Connection: {'close' if close else 'keep-alive'}",
            f'sec-ch-ua: "Chromium";v="{chosen.randrange(120, 132)}", "Not_A Brand";v="24"',
            "sec-ch-ua-mobile: ?0",
            "Upgrade-Insecure-Requests: 1",
            (
                "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                f"Chrome/{chosen.randrange(120, 132)}.0.0.0 Safari/537.36"
            ),
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-Mode: navigate",
            f"Referer: https://www.example.com/{folder}/?from={chosen.randrange(10_000)}",
            "Accept-Encoding: gzip, deflate, br",
            "Accept-Language: en-US,en;q=0.9,de;q=0.7",
            f"Cookie: session={chosen.getrandbits(128):032x}; theme=dark; seen={chosen.randrange(1_000_000)}",
        ]
        requests.append("\r\n".join(lines) + "\r\n\r\n")
    return "".join(requests).encode("ascii")


def write_requests(folder: Path, name: str, *, close: bool = False) -> tuple[Path, Path]:
    """Write the requests and a wrk script that sends them: (file of requests, script)."""
    requests, script = folder / f"{name}.txt", folder / f"{name}.lua"
    requests.write_bytes(browser_requests(close=close))
    script.write_text(SCRIPT.format(path=requests))
    return requests, script


def run(report: Report, *, rounds: int, seconds: int) -> None:
    """Add the HTTP rows; every round measures each proxy once, so that noise hits all alike."""
    if not load.available("wrk", "nginx", "taskset"):
        return
    with Bench() as bench:
        backend = http_peers.backend(bench)
        proxies = list(http_peers.proxies(bench, backend))
        browser, script = write_requests(bench.folder, "keep")
        _, closing = write_requests(bench.folder, "close", close=True)

        def kept(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, seconds, CONNECTIONS, script=str(script))
            report.add(REQUESTS, proxy.name, rate)
            report.add("http requests: CPU us each", proxy.name, cpu, lower_is_better=True)

        def fresh(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, seconds, CONNECTIONS, script=str(closing))
            report.add("http new connections/s, one request each", proxy.name, rate)
            report.add("http new connections: CPU us each", proxy.name, cpu, lower_is_better=True)

        def large(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, seconds, 8, path="/large")
            report.add(BULK, proxy.name, rate * LARGE / 2**20)
            report.add("http 1 MiB responses: CPU us per MiB", proxy.name, cpu * 2**20 / LARGE, lower_is_better=True)

        plain = http_peers.reverse_proxy_resource(bench, backend)
        _interleave(report, REQUESTS, rounds, [*proxies, plain], kept)
        _same_rate(report, bench, rounds, seconds, proxies, browser)
        _interleave(report, BULK, rounds, proxies, large)
        _interleave(report, "http new connections/s", rounds, proxies, fresh)
    report.target(REQUESTS, "haproxy", at_least=0.5)
    report.target(REQUESTS, "envoy", at_least=1.5)
    report.target(REQUESTS, "ReverseProxyResource", at_least=10)
    report.target(P99, "haproxy", at_most=2)
    report.target(BULK, "haproxy", at_least=0.9)


def _interleave(
    report: Report, what: str, rounds: int, proxies: list[Running], measure: Callable[[Running], None]
) -> None:
    """Measure all in each round; one whose requests failed is not measured again, and said so."""
    failed: set[str] = set()
    for _ in range(rounds):
        for proxy in proxies:
            if proxy.name not in failed:
                try:
                    measure(proxy)
                except (RuntimeError, subprocess.CalledProcessError) as error:
                    failed.add(proxy.name)
                    report.fail(f"{what}: {proxy.name}: {getattr(error, 'stderr', '') or error}")


def _same_rate(report: Report, bench: Bench, rounds: int, seconds: int, proxies: list[Running], requests: Path) -> None:
    """Latency at a rate that all but the slowest bear."""
    if not load.available("cc"):
        return
    medians = report.medians(REQUESTS)
    known = [medians[name] for name in ("netappliance", "haproxy") if name in medians]
    if not known:
        report.note(f"no {P99}: neither maximum is known")
        return
    rate = int(min(known) * LOAD)
    tool = str(bench.folder / "http_load")
    subprocess.run(["cc", "-O2", "-o", tool, str(Path(__file__).with_name("http_load.c"))], check=True)
    able = [proxy for proxy in proxies if medians.get(proxy.name, 0) * 0.9 > rate]
    report.note(f"{P99}: {rate} requests/s, {LOAD:.0%} of the slower maximum of ours and HAProxy's")
    for proxy in proxies:
        if proxy not in able:
            report.note(f"{P99}: {proxy.name} cannot bear {rate} requests/s")

    def measure(proxy: Running) -> None:
        before = proxy.cpu_seconds()
        command = [tool, str(proxy.port), str(CONNECTIONS), str(rate), str(seconds), str(requests)]
        done = subprocess.run(["taskset", "-c", PEER_CORE, *command], capture_output=True, text=True, check=True)
        used = proxy.cpu_seconds() - before
        answers, late, p50, p99, _p999, _longest = (float(word) for word in done.stdout.split())
        if late > answers / 100:
            raise RuntimeError(f"{late:.0f} of {answers + late:.0f} answers were late or missing at {rate}/s")
        report.add(P99, proxy.name, p99, lower_is_better=True)
        report.add("http p50 us at the same rate", proxy.name, p50, lower_is_better=True)
        report.add("http CPU us each at the same rate", proxy.name, used / answers * 1e6, lower_is_better=True)

    _interleave(report, P99, rounds, able, measure)
