"""
The figures of README.md, made from one saved run of ``make bench``; never by hand.

``python -m benchmarks.figures FILE`` keeps the medians and ratios of that run in ``results/README.json`` and writes
README.md's figures from them; without a file they are written from what is kept.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.rows import COMPILED, OURS, PURE

README = Path(__file__).resolve().parent.parent / "README.md"
KEPT = Path(__file__).resolve().parent / "results" / "README.json"

#: a run, as ``Report.save`` writes it
Run = Mapping[str, Any]

#: proxy, its column's name
PEERS = (("haproxy", "HAProxy"), ("nginx", "nginx"), ("envoy", "Envoy"), ("sozu", "Sōzu"))
#: what README calls a row, the row; ``{build}`` where each build has one of its own
PROXIED = (
    ("HTTP requests/s, 64 connections, a browser's headers", rows.HTTP_REQUESTS),
    ("· CPU for each request", rows.HTTP_REQUESTS_CPU),
    ("· 99th percentile, all at half of our maximum", rows.at_half("p99 us", "{build}")),
    ("· median, likewise", rows.at_half("p50 us", "{build}")),
    ("HTTP responses of 1 MiB", rows.HTTP_RESPONSES),
    ("· CPU for each MiB", rows.HTTP_RESPONSES_CPU),
    ("HTTP responses of 1 MiB, in chunks", rows.HTTP_CHUNKED),
    ("· CPU for each MiB", rows.HTTP_CHUNKED_CPU),
    ("HTTP uploads of 1 MiB", rows.HTTP_UPLOADS),
    ("· CPU for each MiB", rows.HTTP_UPLOADS_CPU),
    ("HTTP posts/s of 16 KiB, 64 connections", rows.HTTP_POSTS),
    ("· CPU for each post", rows.HTTP_POSTS_CPU),
    ("HTTP new connections/s, one request each", rows.HTTP_CONNECTIONS),
    ("· CPU for each connection", rows.HTTP_CONNECTIONS_CPU),
    ("HTTPS requests/s, 64 connections, a browser's headers", rows.HTTPS_REQUESTS),
    ("· CPU for each request", rows.HTTPS_REQUESTS_CPU),
    ("HTTPS responses of 1 MiB", rows.HTTPS_RESPONSES),
    ("· CPU for each MiB", rows.HTTPS_RESPONSES_CPU),
    ("TLS 1.3 handshakes/s, P-256", rows.HTTPS_HANDSHAKES),
    ("· CPU for each handshake", rows.HTTPS_HANDSHAKES_CPU),
    ("TLS 1.3 handshakes/s, resumed", rows.HTTPS_RESUMED),
    ("· CPU for each handshake", rows.HTTPS_RESUMED_CPU),
    ("memory added by 5 000 idle HTTPS connections", rows.HTTPS_MEMORY),
    ("TCP small requests/s, 64 connections", rows.TCP_MESSAGES),
    ("· CPU for each request", rows.TCP_MESSAGES_CPU),
    ("TCP new connections/s", rows.TCP_CONNECTIONS),
    ("· CPU for each connection", rows.TCP_CONNECTIONS_CPU),
    ("TCP messages of 1 MiB, down", rows.TCP_DOWN),
    ("· CPU for each MiB", rows.TCP_DOWN_CPU),
    ("TCP messages of 1 MiB, up", rows.TCP_UP),
    ("· CPU for each MiB", rows.TCP_UP_CPU),
    ("TCP, one stream down", rows.TCP_BULK_DOWN),
    ("· CPU for each MiB", rows.TCP_BULK_DOWN_CPU),
    ("TCP, one stream up", rows.TCP_BULK_UP),
    ("· CPU for each MiB", rows.TCP_BULK_UP_CPU),
    ("memory with idle TCP connections", rows.TCP_IDLE),
    ("UDP round trips/s, 50 sessions", rows.rate(rows.UDP_50)),
    ("· CPU for each round trip", rows.cpu(rows.UDP_50)),
    ("· median round trip", rows.p50(rows.UDP_50)),
    ("UDP round trips/s, 1 000 sessions", rows.rate(rows.UDP_1000)),
    ("· CPU for each round trip", rows.cpu(rows.UDP_1000)),
    ("· median round trip", rows.p50(rows.UDP_1000)),
    ("UDP with capture and token_router, theirs without", rows.rate(rows.UDP_FILTERS)),
    ("· CPU for each round trip", rows.cpu(rows.UDP_FILTERS)),
)
TRACKED = (
    ("seconds to read 200 000 connections", rows.TRACKER_LOAD),
    ("memory added by them, MiB", rows.TRACKER_MEMORY),
    ("a scrape with them, ms", rows.TRACKER_SCRAPE),
    ("longest reactor turn meanwhile, ms", rows.TRACKER_TURN),
    ("CPU for each of 2 000 new connections a second, µs", rows.TRACKER_EVENTS),
)
TRACKERS = ((PURE, "pure"), (COMPILED, "compiled"), ("conntrack", "`conntrack`"), ("pyroute2", "pyroute2"))
WIDTH = 120
ABSENT = "–"  # noqa: RUF001 - a dash


def reduced(saved: Run) -> dict[str, Any]:
    """Return what is kept of a run: all but the single measurements, numbers with four digits."""
    kept: dict[str, Any] = json.loads(json.dumps(saved), parse_float=lambda text: float(f"{float(text):.4g}"))
    kept["rows"] = {name: {"medians": row["medians"], "ratios": row["ratios"]} for name, row in kept["rows"].items()}
    return kept


def figures(run: Run) -> dict[str, str]:
    """Return name -> text of each part of README.md that is made here."""
    return {
        "setting": setting(run),
        "proxies": table(["one core; pure · compiled", *_peer_names(run)], _proxied(run)),
        "others": others(run),
        "tracker": table(["", *(name for _, name in TRACKERS)], _tracked(run)),
        "events": _wrapped([f"{note[0].upper()}{note[1:]}." for note in run["notes"] if "new connections in" in note]),
    }


def setting(run: Run) -> str:
    """Return the sentence that says which builds, which Python and which machine."""
    facts = run["facts"]
    builds = [name for name, build in (("pure", PURE), ("compiled", COMPILED)) if build in facts]
    which = "Both builds, pure and compiled," if len(builds) == 2 else f"The {builds[0]} build"
    python = f"Python {facts['python']} (`{facts['interpreter']}` of {facts['system']})"
    machine = f"Linux {facts['kernel']}, {facts['processor']}"
    return _wrapped([f"{which} ran on {python}, {run['rounds']} x {run['seconds']} s for each cell, on {machine}."])


def others(run: Run) -> str:
    """Return the sentences about what stands in no column."""
    said = []
    ratios = run["rows"].get(rows.HTTP_REQUESTS, {}).get("ratios", {})
    times = [ratios[build]["ReverseProxyResource"] for build in OURS if "ReverseProxyResource" in ratios.get(build, {})]
    if times:
        said.append(
            "Through twisted.web's `ReverseProxyResource`, which opens a connection for each request, goes one request"
            f" for {' or '.join(f'{each:.0f}' for each in times)} of ours."
        )
    fresh = run["rows"].get(rows.HTTP_CONNECTIONS, {}).get("medians", {})
    if {"haproxy", "haproxy always"} <= fresh.keys():
        times_more = fresh["haproxy always"] / fresh["haproxy"]
        said.append(
            "HAProxy is compared with its default `http-reuse safe`; with `always` it makes"
            f" {times_more:.2f} times as many new connections."
        )
    said.extend(f"Memory: {note}." for note in run["notes"] if "idle TCP connections" in note)
    return _wrapped(said)


def table(heads: list[str], lines: Iterator[list[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines))


def replaced(text: str, made: Mapping[str, str]) -> str:
    """
    Return a document with the parts between ``<!-- figures: NAME -->`` and ``<!-- end -->`` made anew.

    :raises ValueError: its markers are not those of the parts.
    """
    marked = re.compile(r"(<!-- figures: (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)
    names = [match[1] for match in marked.findall(text)]
    if sorted(names) != sorted(made):
        raise ValueError(f"figures are marked for {names}, and made for {list(made)}")
    return marked.sub(lambda match: f"{match[1]}{made[match[2]]}{match[3]}", text)


def _peer_names(run: Run) -> Iterator[str]:
    """Columns, with the versions that took part."""
    for peer, name in PEERS:
        version = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\b[0-9a-f]{40}/", "", run["facts"].get(peer, "")))
        yield f"{name} {version[0]}" if version else name


def _proxied(run: Run) -> Iterator[list[str]]:
    """Ours divided by theirs, for both builds."""
    for label, row in PROXIED:
        found = [[_ratio(run, row.format(build=build), build, peer) for build in OURS] for peer, _ in PEERS]
        if any(ratio is not None for cell in found for ratio in cell):
            yield [label, *(" · ".join(map(_number, cell)) if any(cell) else ABSENT for cell in found)]


def _ratio(run: Run, row: str, build: str, peer: str) -> float | None:
    found: float | None = run["rows"].get(row, {}).get("ratios", {}).get(build, {}).get(peer)
    return found


def _tracked(run: Run) -> Iterator[list[str]]:
    """Medians; conntrack has a command for each row."""
    for label, row in TRACKED:
        medians = run["rows"].get(row, {}).get("medians", {})
        found = [next((medians[each] for each in medians if each.split(" -")[0] == name), None) for name, _ in TRACKERS]
        if medians:
            yield [label, *map(_number, found)]


def _number(value: float | None) -> str:
    """Two digits behind the point while there is one before it, fewer then."""
    if value is None:
        return ABSENT
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 20 else f"{value:.0f}"


def _wrapped(sentences: list[str]) -> str:
    return textwrap.fill(" ".join(sentences), WIDTH, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Keep the run that is named, write README.md."""
    if len(sys.argv) > 1:
        run = reduced(json.loads(Path(sys.argv[1]).read_text()))
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    run = json.loads(KEPT.read_text())
    README.write_text(replaced(README.read_text(), figures(run)))
    for failure in run["failed"]:
        print(f"this run FAILED in part: {failure}")


if __name__ == "__main__":
    main()
