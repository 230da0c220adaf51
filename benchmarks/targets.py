"""What the ratios are to be: ours divided by theirs, for each of our builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks import rows
from benchmarks.rows import COMPILED, PURE


@dataclass(frozen=True)
class Target:
    """The ratio of one row of one build to one peer; inclusive on both sides."""

    build: str
    row: str
    peer: str
    at_least: float = 0.0
    at_most: float = float("inf")

    def judged(self, ratio: float | None) -> str:
        """Return the sentence with the verdict. :param ratio: None when one of the two was not measured."""
        wanted = f"at least {self.at_least:g}" if self.at_least else f"at most {self.at_most:g}"
        what = f"{self.build}: {self.row}: / {self.peer} {wanted}"
        if ratio is None:
            return f"target not measured: {what}"
        verdict = "met" if self.at_least <= ratio <= self.at_most else "MISSED"
        return f"target {verdict}: {what}: {ratio:.2f}"


def _at_least(row: str, peer: str, *, pure: float = 0.0, compiled: float = 0.0) -> Iterator[Target]:
    for build, bound in ((PURE, pure), (COMPILED, compiled)):
        if bound:
            yield Target(build, row, peer, at_least=bound)


def _at_most(row: str, peer: str, *, pure: float, compiled: float) -> Iterator[Target]:
    yield Target(PURE, row, peer, at_most=pure)
    yield Target(COMPILED, row, peer, at_most=compiled)


TARGETS: tuple[Target, ...] = (
    *_at_least(rows.HTTP_REQUESTS, "haproxy", pure=0.5, compiled=0.9),
    *_at_least(rows.HTTP_REQUESTS, "envoy", compiled=2.5),
    *_at_least(rows.HTTP_REQUESTS, "sozu", compiled=1.15),
    Target(COMPILED, rows.at_half("p99 us", COMPILED), "haproxy", at_most=1.3),
    *_at_least(rows.HTTP_RESPONSES, "haproxy", pure=0.95, compiled=1.1),
    *_at_most(rows.HTTP_RESPONSES_CPU, "haproxy", pure=1.25, compiled=1.0),
    *_at_least(rows.HTTP_CHUNKED, "haproxy", pure=0.95, compiled=1.1),
    *_at_most(rows.HTTP_CHUNKED_CPU, "haproxy", pure=1.25, compiled=1.0),
    *_at_least(rows.HTTP_UPLOADS, "haproxy", pure=0.95, compiled=1.1),
    *_at_least(rows.HTTP_UPLOADS, "sozu", compiled=1.0),
    *_at_least(rows.HTTP_POSTS, "haproxy", pure=0.65, compiled=0.95),
    *_at_least(rows.HTTP_POSTS, "sozu", compiled=1.0),
    *_at_least(rows.HTTPS_REQUESTS, "haproxy", pure=0.5, compiled=0.85),
    *_at_least(rows.HTTPS_REQUESTS, "envoy", compiled=2.2),
    *_at_least(rows.HTTPS_HANDSHAKES, "haproxy", pure=0.7, compiled=0.8),
    *_at_least(rows.HTTPS_RESUMED, "haproxy", pure=0.7, compiled=0.7),
    *_at_least(rows.HTTPS_RESPONSES, "haproxy", pure=0.9, compiled=0.9),
    *_at_least(rows.TCP_CONNECTIONS, "haproxy", pure=0.65, compiled=0.95),
    *(
        target
        for row in (rows.TCP_DOWN, rows.TCP_UP, rows.TCP_MESSAGES)
        for peer, pure, compiled in (("haproxy", 0.95, 1.05), ("sozu", 0.0, 1.0))
        for target in _at_least(row, peer, pure=pure, compiled=compiled)
    ),
    *_at_least(rows.rate(rows.UDP_50), "nginx", pure=0.95, compiled=1.1),
    *_at_least(rows.rate(rows.UDP_1000), "nginx", pure=0.95, compiled=1.0),
    *_at_least(rows.rate(rows.UDP_FILTERS), "envoy", pure=0.85, compiled=1.1),
    *_at_most(rows.TRACKER_LOAD, "conntrack -L", pure=1.1, compiled=0.8),
)


def judged(ratios: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """
    Return the verdicts on the rows in which a build took part.

    :param ratios: row -> build -> peer -> ours divided by theirs.
    """
    return [
        target.judged(ratios[target.row][target.build].get(target.peer))
        for target in TARGETS
        if target.build in ratios.get(target.row, {})
    ]
