"""The command line of ``make bench`` and ``make soak``."""

from __future__ import annotations

import argparse
import sys

from benchmarks import http, soak, soak_http, tcp, tracker, udp
from benchmarks.report import Report

SUITES = {"tcp": tcp.run, "udp": udp.run, "http": http.run, "tracker": tracker.run}


def main() -> None:
    """Run the suites, print the table, save the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SUITES, help="one suite")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s instead of 5 of 4 s")
    parser.add_argument("--soak", action="store_true", help="the long proofs instead")
    parser.add_argument("--gib", type=float, default=10, help="GiB of HTTP bodies in the soak")
    options = parser.parse_args()
    if options.soak:
        if options.only in (None, "tcp"):
            soak.run()
        if options.only in (None, "http"):
            soak_http.run(int(options.gib * 2**30))
        return
    report = Report()
    for name, suite in SUITES.items():
        if options.only in (None, name):
            try:
                suite(report, rounds=2 if options.quick else 5, seconds=2 if options.quick else 4)
            except RuntimeError as error:
                report.fail(f"{name} ended early: {error}")  # what was measured before is still worth its time
    print(report.text())
    print(f"saved: {report.save()}")
    if report.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
