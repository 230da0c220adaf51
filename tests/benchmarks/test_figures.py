"""README.md's figures are those of the run that is kept."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import figures, rows
from benchmarks.rows import COMPILED, PURE

FACTS = {
    PURE: "netappliance 1 (pure Python)",
    "python": "3.11.2 GCC 12 -O2",
    "interpreter": "/usr/bin/python3.11",
    "system": "Debian",
    "kernel": "6.1",
    "processor": "Xeon",
    "haproxy": "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/",
    "envoy": "version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL",
}


def run(**more: Any) -> dict[str, Any]:
    """A run of few rows."""
    saved = {
        "facts": FACTS,
        "rounds": 5,
        "seconds": 4,
        "notes": ["http latency: 7", "of 10 new connections in 5 s netappliance counted 10; 0 events lost"],
        "failed": [],
        "rows": {
            rows.HTTP_REQUESTS: {
                "runs": {PURE: [1.0]},
                "medians": {PURE: 123456.0, "haproxy": 2.0},
                "ratios": {
                    PURE: {"haproxy": 0.51234567, "ReverseProxyResource": 12.2},
                    COMPILED: {PURE: 2.0, "haproxy": 0.95, "sozu": 12.345, "ReverseProxyResource": 24.6},
                },
            },
            rows.at_half("p99 us", PURE): {"medians": {}, "ratios": {PURE: {"haproxy": 2.0}}},
            rows.at_half("p99 us", COMPILED): {"medians": {}, "ratios": {COMPILED: {"haproxy": 1.3}}},
            rows.TRACKER_LOAD: {"medians": {PURE: 1.0, "conntrack -L": 1.25, "pyroute2": 34.71}, "ratios": {}},
            rows.TRACKER_EVENTS: {"medians": {COMPILED: 61.234, "conntrack -E": 24.0}, "ratios": {}},
        },
    }
    return {**saved, **more}


class FiguresTests(SynchronousTestCase):
    """What is made of a run."""

    def test_readme_has_the_figures_of_the_run_that_is_kept(self) -> None:
        """Nobody wrote one by hand; `make figures` writes them."""
        text = figures.README.read_text()
        kept = json.loads(figures.KEPT.read_text())
        self.assertEqual(figures.replaced(text, figures.figures(kept)), text)

    def test_a_cell_has_both_builds(self) -> None:
        """Those of which neither was measured have a dash; rows of which nothing was measured are left out."""
        self.assertEqual(
            figures.figures(run())["proxies"].splitlines(),
            [
                "| one core; pure · compiled | HAProxy 2.6.12 | nginx | Envoy 1.40.0 | Sōzu |",
                "| --- | --- | --- | --- | --- |",
                "| HTTP requests/s, 64 connections, a browser's headers | 0.51 · 0.95 | – | – | – · 12.3 |",  # noqa: RUF001
                "| · 99th percentile, all at half of our maximum | 2.00 · 1.30 | – | – | – |",  # noqa: RUF001
            ],
        )

    def test_the_tracker_has_medians(self) -> None:
        """The commands of conntrack share a column."""
        self.assertEqual(
            figures.figures(run())["tracker"].splitlines()[2:],
            [
                "| seconds to read 200 000 connections | 1.00 | – | 1.25 | 35 |",  # noqa: RUF001
                "| CPU for each of 2 000 new connections a second, µs | – | 61 | 24 | – |",  # noqa: RUF001
            ],
        )

    def test_sentences_name_builds_and_python(self) -> None:
        """Which build, which Python, which machine, how many rounds."""
        said = figures.figures(run())
        self.assertEqual(
            " ".join(said["setting"].split()),
            "The pure build ran on Python 3.11.2 GCC 12 -O2 (`/usr/bin/python3.11` of Debian), 5 x 4 s for each cell,"
            " on Linux 6.1, Xeon.",
        )
        self.assertTrue(all(len(line) <= 120 for line in said["setting"].split("\n")))
        both = figures.setting(run(facts={**FACTS, COMPILED: "netappliance 1 (compiled)"}))
        self.assertTrue(both.startswith("Both builds, pure and compiled, ran on Python 3.11.2"), both)
        self.assertEqual(said["events"], "Of 10 new connections in 5 s netappliance counted 10; 0 events lost.")
        self.assertTrue(said["others"].endswith("goes one request for 12 or 25\nof ours."), said["others"])

    def test_single_measurements_are_not_kept(self) -> None:
        """Medians and ratios are, with four digits."""
        kept = figures.reduced(run())
        row = kept["rows"][rows.HTTP_REQUESTS]
        self.assertEqual(sorted(row), ["medians", "ratios"])
        self.assertEqual(row["ratios"][PURE]["haproxy"], 0.5123)
        self.assertEqual(row["medians"][PURE], 123500)
        self.assertEqual(figures.reduced(kept), kept)

    def test_only_what_is_between_the_markers_changes(self) -> None:
        """Once for each name; a part without a place is an error, and a place without a part."""
        text = "a\n<!-- figures: x -->\nold\nolder\n<!-- end -->\nb\n<!-- figures: y -->\n\n<!-- end -->\n"
        made = figures.replaced(text, {"y": "2", "x": r"\1"})
        self.assertEqual(made, "a\n<!-- figures: x -->\n\\1\n<!-- end -->\nb\n<!-- figures: y -->\n2\n<!-- end -->\n")
        self.assertRaises(ValueError, figures.replaced, text, {"x": "1"})
        self.assertRaises(ValueError, figures.replaced, text, {"x": "1", "y": "2", "z": "3"})
