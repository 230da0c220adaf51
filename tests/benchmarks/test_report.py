"""Ratios of rounds, verdicts on them, and which rows and proxies are measured."""

from __future__ import annotations

from http.client import BadStatusLine

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import rows
from benchmarks.__main__ import ROWS, arguments, plan
from benchmarks.plan import Load, Plan, chosen
from benchmarks.processes import Bench, Running
from benchmarks.report import Report, ratio
from benchmarks.rows import COMPILED, PURE
from benchmarks.targets import TARGETS, Target, judged


class RatioTests(SynchronousTestCase):
    """Ours divided by theirs."""

    def test_rounds_are_divided_before_the_median(self) -> None:
        """A round that noise slowed down slowed both."""
        self.assertEqual(ratio([10, 2, 30], [20, 8, 30]), 0.5)

    def test_rounds_that_only_one_has_do_not_count(self) -> None:
        """One that failed in the second round is compared by the first."""
        self.assertEqual(ratio([10, 500, 500], [20]), 0.5)
        self.assertEqual(ratio([10, 30], [0, 15]), 2)
        self.assertIsNone(ratio([10], [0]))
        self.assertIsNone(ratio([], [1]))

    def test_a_row_compares_each_build_with_each_peer(self) -> None:
        """And the compiled build with the pure one, but not the other way round."""
        report = Report({})
        for name, value in ((PURE, 50.0), (COMPILED, 100.0), ("haproxy", 200.0)):
            report.add("row", name, value)
        expected = {PURE: {"haproxy": 0.25}, COMPILED: {PURE: 2.0, "haproxy": 0.5}}
        self.assertEqual(report.ratios("row"), expected)

    def test_peers_alone_have_no_ratio(self) -> None:
        """Nothing is ours."""
        report = Report({})
        report.add("row", "haproxy", 1)
        self.assertEqual(report.ratios("row"), {})


class TargetTests(SynchronousTestCase):
    """Met, missed, or not measured."""

    def test_both_bounds_are_inside(self) -> None:
        """A ratio of exactly what is wanted is enough."""
        low, high = Target(PURE, "row", "nginx", at_least=0.5), Target(PURE, "row", "nginx", at_most=1.25)
        self.assertEqual(low.judged(0.5), "target met: netappliance: row: / nginx at least 0.5: 0.50")
        self.assertEqual(low.judged(0.49), "target MISSED: netappliance: row: / nginx at least 0.5: 0.49")
        self.assertEqual(high.judged(1.25), "target met: netappliance: row: / nginx at most 1.25: 1.25")
        self.assertEqual(high.judged(1.26), "target MISSED: netappliance: row: / nginx at most 1.25: 1.26")
        self.assertEqual(high.judged(None), "target not measured: netappliance: row: / nginx at most 1.25")

    def test_only_what_was_measured_is_judged(self) -> None:
        """A run of one row and one build says nothing of others."""
        said = judged({rows.TCP_CONNECTIONS: {PURE: {"haproxy": 0.65}}, "unknown": {PURE: {"haproxy": 9.0}}})
        self.assertEqual(said, ["target met: netappliance: tcp new connections/s: / haproxy at least 0.65: 0.65"])

    def test_each_build_has_its_own(self) -> None:
        """What is enough for one is not for the other."""
        both = {build: {"haproxy": 0.7} for build in (PURE, COMPILED)}
        verdicts = [line.split(":")[0] for line in judged({rows.TCP_CONNECTIONS: both})]
        self.assertEqual(verdicts, ["target met", "target MISSED"])

    def test_no_target_is_written_twice(self) -> None:
        """One bound for a build, a row and a peer."""
        keys = [(target.build, target.row, target.peer) for target in TARGETS]
        self.assertEqual(len(keys), len(set(keys)))


class SelectionTests(SynchronousTestCase):
    """The rows and proxies of a run."""

    def test_names_are_written_with_hyphens(self) -> None:
        """A shell's words have no spaces."""
        self.assertEqual(chosen("netappliance-compiled, haproxy", (PURE, COMPILED, "haproxy")), {COMPILED, "haproxy"})
        self.assertEqual(chosen(COMPILED, (PURE, COMPILED)), {COMPILED})

    def test_unknown_names_are_told_with_the_known(self) -> None:
        """A slip of the fingers does not measure nothing for an hour."""
        error = self.assertRaises(ValueError, chosen, "haproxi", ("nginx", "haproxy"))
        self.assertEqual(str(error), "haproxi: not one of haproxy, nginx")

    def test_everything_unless_something_is_named(self) -> None:
        """All rows on all proxies, 5 rounds of 4 s."""
        wanted = plan(arguments().parse_args([]))
        self.assertTrue(all(wanted.has_row(row) for row in ROWS))
        self.assertTrue(wanted.has_proxy("haproxy"))
        self.assertEqual((wanted.rounds, wanted.seconds), (5, 4))

    def test_a_suite_and_some_of_its_rows(self) -> None:
        """The others are left out."""
        wanted = plan(arguments().parse_args(["--only", "udp", "--quick", "--rounds", "3", "--proxies", "envoy"]))
        self.assertTrue(wanted.has_row("requests", "filters"))
        self.assertFalse(wanted.has_row("requests"))
        self.assertEqual([wanted.has_proxy(name) for name in ("envoy", PURE)], [True, False])
        self.assertEqual((wanted.rounds, wanted.seconds), (3, 2))
        options = arguments().parse_args(["--only", "udp", "--rows", "requests"])
        self.assertIn("requests: not one of", str(self.assertRaises(ValueError, plan, options)))


class InterleavingTests(SynchronousTestCase):
    """Rounds, and proxies that fail in them."""

    def test_each_round_has_all(self) -> None:
        """One after the other, so that noise hits all alike; what one request counts for is in both rows."""
        report, order = Report({}), []

        def run(proxy: Running) -> tuple[float, float]:
            order.append(proxy.name)
            return 100.0, 8.0

        proxies = [Running("a", 1, 0), Running("b", 2, 0)]
        Plan(2, 1).put(report, Load("rate", "cpu", run, 0.5), proxies)
        self.assertEqual(order, ["a", "b", "a", "b"])
        self.assertEqual(report.rows, {"rate": {"a": [50, 50], "b": [50, 50]}, "cpu": {"a": [16, 16], "b": [16, 16]}})

    def test_one_that_fails_is_not_measured_again(self) -> None:
        """The others are; the report names it."""
        report, order = Report({}), []

        def measure(proxy: Running) -> None:
            order.append(proxy.name)
            if proxy.name == "a":
                raise BadStatusLine("nonsense")

        Plan(2, 1).interleave(report, "row", [Running("a", 1, 0), Running("b", 2, 0)], measure)
        self.assertEqual(order, ["a", "b", "b"])
        self.assertEqual(report.failures, ["row: a: BadStatusLine('nonsense')"])

    def test_one_that_does_not_start_leaves_the_others(self) -> None:
        """It is reported; one that is not installed is not."""

        def broken(bench: Bench, backend: int) -> Running:
            raise RuntimeError("status 1")

        report = Report({})
        peers = {
            "broken": broken,
            "absent": lambda bench, backend: None,
            "unwanted": broken,
            "well": lambda bench, backend: Running("well", backend, 0),
        }
        wanted = Plan(1, 1, proxies=frozenset(("broken", "absent", "well")), builds=())
        with Bench() as bench:
            started = wanted.start(report, bench, 80, lambda bench, backend, build: Running("ours", 1, 0), peers)
        self.assertEqual(started, [Running("well", 80, 0)])
        self.assertEqual(report.failures, ["broken does not start: status 1"])
