"""The command line of ``make bench`` and ``make soak``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import (
    http,
    http_peers,
    https,
    soak,
    soak_certificates,
    soak_healing,
    soak_hellos,
    soak_http,
    soak_https,
    tcp,
    tcp_peers,
    tracker,
    udp,
    udp_peers,
)
from benchmarks.builds import Build, compiled, pure
from benchmarks.plan import Plan, chosen
from benchmarks.report import Report
from benchmarks.rows import COMPILED, OURS, PURE

SUITES = {"tcp": tcp, "udp": udp, "http": http, "https": https, "tracker": tracker}
#: proofs that are no benchmarks
SOAKS = ("certificates", "healing", "hellos")
ROWS = tuple(row for suite in SUITES.values() for row in suite.ROWS)
PROXIES = tuple({**dict.fromkeys(OURS), **tcp_peers.PEERS, **udp_peers.PEERS, **http_peers.PEERS})


def arguments() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=(*SUITES, *SOAKS), help=f"one suite; of the soak alone: {', '.join(SOAKS)}")
    parser.add_argument("--rows", default="", help=f"some rows, separated by commas: {', '.join(ROWS)}")
    names = ", ".join(name.replace(" ", "-") for name in PROXIES)
    parser.add_argument("--proxies", default="", help=f"some proxies, separated by commas: {names}")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s instead of 5 of 4 s")
    parser.add_argument("--rounds", type=int, help="so many rounds")
    parser.add_argument("--seconds", type=int, help="so many seconds for each measurement")
    parser.add_argument("--soak", action="store_true", help="the long proofs instead")
    parser.add_argument("--gib", type=float, default=10, help="GiB of HTTP bodies in the soak")
    parser.add_argument("--hellos", type=int, default=1_000_000, help="broken ClientHellos in the soak")
    parser.add_argument("--certificates", type=int, default=100, help="certificates that are replaced in the soak")
    return parser


def plan(options: argparse.Namespace) -> Plan:
    """
    Return what is wanted.

    :raises ValueError: for a row or a proxy that does not exist.
    """
    rounds, seconds = (2, 2) if options.quick else (5, 4)
    known = SUITES[options.only].ROWS if options.only else ROWS
    rows = chosen(options.rows, known) if options.rows else frozenset(known)
    return Plan(options.rounds or rounds, options.seconds or seconds, rows, chosen(options.proxies, PROXIES))


def main() -> None:
    """Run the suites, print the table, save the numbers."""
    parser = arguments()
    options = parser.parse_args()
    if options.soak:
        if options.only in (None, "tcp"):
            soak.run()
        if options.only in (None, "http"):
            soak_http.run(int(options.gib * 2**30))
        if options.only in (None, "https"):
            soak_https.run()
        if options.only in (None, "healing"):
            soak_healing.run(60)
        if options.only in (None, "certificates"):
            soak_certificates.run(options.certificates)
        if options.only in (None, "hellos"):
            soak_hellos.run(options.hellos)
        return
    if options.only in SOAKS:
        parser.error(f"{options.only} needs --soak")
    try:
        wanted = plan(options)
    except ValueError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as folder:
        wanted = dataclasses.replace(wanted, builds=tuple(builds(wanted, Path(folder))))
        report = measured(wanted)
    print(report.text())
    path = report.save(rounds=wanted.rounds, seconds=wanted.seconds)
    print(f"saved: {path}   (make figures RUN={path} writes README.md's figures from it)")
    if report.failures:
        sys.exit(1)


def builds(wanted: Plan, folder: Path) -> Iterator[Build]:
    """Yield our builds, as far as they are wanted and can be made."""
    if wanted.has_proxy(PURE):
        yield pure(folder)
    if wanted.has_proxy(COMPILED):
        try:
            yield compiled()
        except RuntimeError as error:
            print(f"{COMPILED}: not built: {error}", flush=True)


def measured(wanted: Plan) -> Report:
    """Run the suites."""
    report = Report({build.name: build.described() for build in wanted.builds})
    for name, suite in SUITES.items():
        try:
            suite.run(report, wanted)
        except RuntimeError as error:
            report.fail(f"{name} ended early: {error}")  # what was measured before is still worth its time
    return report


if __name__ == "__main__":
    main()
