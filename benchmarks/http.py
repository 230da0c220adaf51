"""HTTP: requests with a browser's headers, new connections, large responses, and latency at one and the same rate."""

from __future__ import annotations

import json
import random
import subprocess
from functools import partial
from pathlib import Path

from benchmarks import backends, http_peers, load, rows
from benchmarks.backends import LARGE, MIB
from benchmarks.plan import Load, Plan
from benchmarks.processes import PEER_CORE, Bench, Running
from benchmarks.report import Report
from benchmarks.rows import OURS

#: connections of small and of large messages
CONNECTIONS, FEW = 64, 8
BODIES = ("chunked", "uploads", "posts")
ROWS = ("requests", "p99", "responses", *BODIES, "http-connections", "routes")
#: bytes of a form that is sent
POST = 16384
#: of a build's maximum, for the rows of latency
LOAD = 0.5
#: a body in Lua
BODY = 'string.rep("0123456789abcdef", {} / 16)'
#: wrk with requests that are built before the first is sent
SCRIPT = """
local file = assert(io.open("{path}", "rb"))
local text = file:read("*a")
file:close()
local requests, at, body = {{}}, 0, {body}
for head in text:gmatch(".-\\r\\n\\r\\n") do requests[#requests + 1] = head .. body end
local count = #requests
function request()
  at = at % count + 1
  return requests[at]
end
"""


def browser_requests(count: int = 256, *, close: bool = False, body: int = 0) -> bytes:
    """
    Return heads of requests as a browser sends them, the same at every call: varied paths, queries and cookies, and a
    dozen headers.

    :param close: each asks for its connection to be closed.
    :param body: POSTs that say to have so many bytes of it instead of GETs.
    """
    more = [f"Content-Length: {body}", "Content-Type: application/octet-stream"] if body else []
    chosen = random.Random(20)
    requests = []
    for number in range(count):
        folder = chosen.choice(("articles", "static/js", "static/img", "api/v2/orders", "users", "search"))
        leaf = f"{chosen.getrandbits(48):012x}.{chosen.choice(('html', 'js', 'png', 'json'))}"
        query = f"?page={chosen.randrange(400)}&sort={chosen.choice(('date', 'name', 'size'))}" if number % 3 else ""
        lines = [
            f"{'POST' if body else 'GET'} /{folder}/{leaf}{query} HTTP/1.1",
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
            *more,
        ]
        requests.append("\r\n".join(lines) + "\r\n\r\n")
    return "".join(requests).encode("ascii")


def write_requests(folder: Path, name: str, *, close: bool = False, body: int = 0) -> tuple[Path, Path]:
    """Write heads of requests and a wrk script that sends them with their bodies: (file of heads, script)."""
    heads, script = folder / f"{name}.txt", folder / f"{name}.lua"
    heads.write_bytes(browser_requests(close=close, body=body))
    script.write_text(SCRIPT.format(path=heads, body=BODY.format(body)))
    return heads, script


def write_upload(folder: Path, body: int) -> Path:
    """Write a wrk script that sends one POST with a body again and again, without a copy of it for each."""
    line, *fields = browser_requests(1, body=body).decode("ascii").rstrip().split("\r\n")
    lines = ['wrk.method = "POST"', f"wrk.path = {json.dumps(line.split()[1])}", f"wrk.body = {BODY.format(body)}"]
    for field in fields:
        name, value = field.split(": ", 1)
        lines.append(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}")
    script = folder / "upload.lua"
    script.write_text("\n".join(lines))
    return script


def run(report: Report, plan: Plan) -> None:
    """Add the HTTP rows."""
    if not load.available("wrk", "nginx", "taskset"):
        return
    if plan.has_row("requests", "p99", "responses", "http-connections"):
        with Bench() as bench:
            requests(report, plan, bench)
    if plan.has_row("routes"):
        with Bench() as bench:
            routes(report, plan, bench)
    if plan.has_row(*BODIES) and load.available("cc"):
        with Bench() as bench:
            bodies(report, plan, bench)


def requests(report: Report, plan: Plan, bench: Bench) -> None:
    """Small requests, latency at a rate, large responses, new connections."""
    proxies = plan.start(report, bench, backends.small_answers(bench), http_peers.ours, http_peers.PEERS)
    usual = [proxy for proxy in proxies if proxy.name not in http_peers.RARE]
    browser, keep = write_requests(bench.folder, "keep")
    _, close = write_requests(bench.folder, "close", close=True)
    if plan.has_row("requests", "p99"):
        wrk = load.Wrk(plan.seconds, CONNECTIONS, script=keep)
        plan.put(report, Load(rows.HTTP_REQUESTS, rows.HTTP_REQUESTS_CPU, wrk), proxies)
    if plan.has_row("p99"):
        same_rate(report, plan, bench, usual, browser)
    if plan.has_row("responses"):
        wrk = load.Wrk(plan.seconds, FEW, path="/large")
        plan.put(report, Load(rows.HTTP_RESPONSES, rows.HTTP_RESPONSES_CPU, wrk, MIB), usual)
    if plan.has_row("http-connections"):
        wrk = load.Wrk(plan.seconds, CONNECTIONS, script=close)
        able = [proxy for proxy in proxies if proxy.name != "ReverseProxyResource"]
        plan.put(report, Load(rows.HTTP_CONNECTIONS, rows.HTTP_CONNECTIONS_CPU, wrk), able)


def routes(report: Report, plan: Plan, bench: Bench) -> None:
    """What many routes cost: a third of the requests are for the last of them, the others for none."""
    backend = backends.small_answers(bench)
    _, keep = write_requests(bench.folder, "keep")
    wrk = load.Wrk(plan.seconds, CONNECTIONS, script=keep)
    plain = [*(f"/tenants/{number}/" for number in range(4998)), "/users/", "/search/"]
    regexes = [*(f"~/tenants/t{number}/(.*)" for number in range(199)), "~/(users|search)/([0-9a-f]+)[.].*"]
    for paths, row, cpu in (
        (plain, rows.HTTP_PLAIN_ROUTES, rows.HTTP_PLAIN_ROUTES_CPU),
        (regexes, rows.HTTP_REGEX_ROUTES, rows.HTTP_REGEX_ROUTES_CPU),
    ):
        proxies = plan.start(report, bench, backend, partial(http_peers.ours, paths=paths), {})
        plan.put(report, Load(row, cpu, wrk), proxies)


def bodies(report: Report, plan: Plan, bench: Bench) -> None:
    """Responses in chunks; uploads and posts, whose bodies all arrive at the backend, or the measurement failed."""
    backend = backends.bodies(bench)
    known = {name: start for name, start in http_peers.PEERS.items() if name not in http_peers.RARE}
    proxies = plan.start(report, bench, backend, http_peers.ours, known)
    large = write_upload(bench.folder, LARGE)
    _, small = write_requests(bench.folder, "post", body=POST)
    down = load.Wrk(plan.seconds, FEW, path="/chunked")
    up = load.Wrk(plan.seconds, FEW, script=large, body=LARGE, backend=backend)
    posts = load.Wrk(plan.seconds, CONNECTIONS, script=small, body=POST, backend=backend)
    loads = {
        "chunked": Load(rows.HTTP_CHUNKED, rows.HTTP_CHUNKED_CPU, down, MIB),
        "uploads": Load(rows.HTTP_UPLOADS, rows.HTTP_UPLOADS_CPU, up, MIB),
        "posts": Load(rows.HTTP_POSTS, rows.HTTP_POSTS_CPU, posts),
    }
    for name, each in loads.items():
        if plan.has_row(name):
            plan.put(report, each, proxies)


def same_rate(report: Report, plan: Plan, bench: Bench, proxies: list[Running], requests: Path) -> None:
    """Latency at half of our maximum: each of our builds beside the peers that bear its rate."""
    if not load.available("cc"):
        return
    tool = str(bench.folder / "http_load")
    subprocess.run(["cc", "-O2", "-o", tool, str(Path(__file__).with_name("http_load.c"))], check=True)
    medians = report.medians(rows.HTTP_REQUESTS)
    for build in plan.builds:
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
