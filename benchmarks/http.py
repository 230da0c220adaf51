"""HTTP: requests with a browser's headers, new connections, large responses, and latency at one and the same rate."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

from benchmarks import backends, http_peers, load, rows
from benchmarks.backends import LARGE
from benchmarks.builds import BUILDS
from benchmarks.plan import Plan
from benchmarks.processes import PEER_CORE, Bench, Running
from benchmarks.report import Report
from benchmarks.rows import OURS

CONNECTIONS = 64
ROWS = ("requests", "p99", "responses", "http-connections")
#: of a build's maximum, for the rows of latency
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


def run(report: Report, plan: Plan) -> None:
    """Add the HTTP rows."""
    if not plan.has_row(*ROWS) or not load.available("wrk", "nginx", "taskset"):
        return
    with Bench() as bench:
        proxies = plan.start(bench, backends.small_answers(bench), http_peers.PROXIES)
        usual = [proxy for proxy in proxies if proxy.name not in http_peers.RARE]
        browser, script = write_requests(bench.folder, "keep")
        _, closing = write_requests(bench.folder, "close", close=True)

        def kept(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, plan.seconds, CONNECTIONS, script=str(script))
            report.add(rows.HTTP_REQUESTS, proxy.name, rate)
            report.add(rows.HTTP_REQUESTS_CPU, proxy.name, cpu, lower_is_better=True)

        def fresh(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, plan.seconds, CONNECTIONS, script=str(closing))
            report.add(rows.HTTP_CONNECTIONS, proxy.name, rate)
            report.add(rows.HTTP_CONNECTIONS_CPU, proxy.name, cpu, lower_is_better=True)

        def large(proxy: Running) -> None:
            rate, cpu = load.wrk(proxy, plan.seconds, 8, path="/large")
            report.add(rows.HTTP_RESPONSES, proxy.name, rate * LARGE / 2**20)
            report.add(rows.HTTP_RESPONSES_CPU, proxy.name, cpu * 2**20 / LARGE, lower_is_better=True)

        if plan.has_row("requests", "p99"):
            plan.interleave(report, rows.HTTP_REQUESTS, proxies, kept)
        if plan.has_row("p99"):
            same_rate(report, plan, bench, usual, browser)
        if plan.has_row("responses"):
            plan.interleave(report, rows.HTTP_RESPONSES, usual, large)
        if plan.has_row("http-connections"):
            fresh_ones = [proxy for proxy in proxies if proxy.name != "ReverseProxyResource"]
            plan.interleave(report, rows.HTTP_CONNECTIONS, fresh_ones, fresh)


def same_rate(report: Report, plan: Plan, bench: Bench, proxies: list[Running], requests: Path) -> None:
    """Latency at half of our maximum: each of our builds beside the peers that bear its rate."""
    if not load.available("cc"):
        return
    tool = str(bench.folder / "http_load")
    subprocess.run(["cc", "-O2", "-o", tool, str(Path(__file__).with_name("http_load.c"))], check=True)
    medians = report.medians(rows.HTTP_REQUESTS)
    for build in BUILDS:
        if build.name not in medians:
            continue
        rate = int(medians[build.name] * LOAD)
        what = f"at half of {build.name}'s maximum"
        report.note(f"http latency {what}: {rate} requests/s")
        peers = [proxy for proxy in proxies if proxy.name == build.name or proxy.name not in OURS]
        able = [proxy for proxy in peers if medians.get(proxy.name, 0) * 0.9 > rate]
        for proxy in peers:
            if proxy not in able:
                report.note(f"http latency {what}: {proxy.name} cannot bear it")

        def measure(proxy: Running, rate: int = rate, build: str = build.name) -> None:
            before = proxy.cpu_seconds()
            command = [tool, str(proxy.port), str(CONNECTIONS), str(rate), str(plan.seconds), str(requests)]
            done = subprocess.run(["taskset", "-c", PEER_CORE, *command], capture_output=True, text=True, check=True)
            used = proxy.cpu_seconds() - before
            answers, late, p50, p99, _p999, _longest = (float(word) for word in done.stdout.split())
            if late > answers / 100:
                raise RuntimeError(f"{late:.0f} of {answers + late:.0f} answers were late or missing at {rate}/s")
            report.add(rows.at_half("p99 us", build), proxy.name, p99, lower_is_better=True)
            report.add(rows.at_half("p50 us", build), proxy.name, p50, lower_is_better=True)
            report.add(rows.at_half("CPU us each", build), proxy.name, used / answers * 1e6, lower_is_better=True)

        plan.interleave(report, f"http latency {what}", able, measure)
