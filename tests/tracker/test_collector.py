"""What the tracker shows, and the section that asks for it."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.configuration import Configuration
from netappliance.config.ini import parse
from netappliance.config.schema import parse_section
from netappliance.errors import ConfigProblem
from netappliance.tracker.collector import PREFIX, TrackerCollector
from netappliance.tracker.conntrack.ctnetlink import DESTROY, NEW, UPDATE
from netappliance.tracker.counting.places import group_rule
from netappliance.tracker.kind import TrackerKind
from netappliance.tracker.section import MAX_GROUPS, TrackerSection
from netappliance.tracker.service import TrackerService
from tests.tracker.support import LOCAL, change

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


class CollectorTests(SynchronousTestCase):
    """A tracker that is not started, and is told of events."""

    def setUp(self) -> None:
        """Make it with two groups, of which one is expected."""
        clock = Clock()
        section = TrackerSection(
            ignore=(),
            groups=(group_rule("web = 192.0.2.0/24:443"), group_rule("db = 10.9.0.0/16")),
            expected=("web", "db"),
            names=True,
            event_log="/nonexistent",
        )
        self.service = TrackerService(section, clock, clock.seconds)
        self.table = self.service.sources.connections
        self.table.places.set_local(frozenset({LOCAL}))
        self.registry = CollectorRegistry()
        self.registry.register(TrackerCollector(self.service))

    def value(self, name: str, **labels: str) -> float | None:
        """Return one sample of ours."""
        return self.registry.get_sample_value(PREFIX + name, labels)

    def test_a_life_in_the_metrics(self) -> None:
        """Gauges and counters by group, direction and protocol; the expected group is up while it is open."""
        key = {"group": "web", "direction": "out", "protocol": "tcp"}
        self.assertEqual((self.value("opened_total", **key), self.value("expected_up", group="web")), (0, 0))
        self.table.event(change(NEW, state=1), 1.0)
        self.table.event(change(UPDATE, state=3), 1.25)
        host = {"host": "192.0.2.7:443"}
        self.assertEqual(self.registry.get_sample_value("conntrack_open_connections", host), 1)
        self.assertEqual(self.registry.get_sample_value("conntrack_open_connections_total", host), 1)
        self.assertEqual(
            (self.value("connections", state="open", **key), self.value("expected_up", group="web")), (1, 1)
        )
        self.table.event(change(DESTROY, state=7, traffic=(3, 300, 2, 200)), 3.0)
        self.assertEqual((self.value("opened_total", **key), self.value("established_total", **key)), (1, 1))
        self.assertEqual(self.value("closed_total", how="fin", **key), 1)
        self.assertEqual(self.value("bytes_total", way="reply", **key), 200)
        self.assertEqual(self.value("duration_secs_sum", **key), 2)
        self.assertEqual(self.value("handshake_secs_sum", group="web", direction="out"), 0.25)
        self.assertEqual((self.value("expected_up", group="web"), self.value("expected_up", group="db")), (0, 0))
        self.assertEqual(self.registry.get_sample_value("conntrack_open_connections", host), 0)

    def test_hosts_that_share_a_name_are_one_series(self) -> None:
        """A duplicate would spoil the whole page."""
        for last in (7, 9):
            remote = bytes((192, 0, 2, last))
            self.table.event(change(NEW, state=3, destination=remote), 1.0)
            assert self.service.names is not None
            self.service.names._known[remote] = ("db.example", 9.0)
        found = {"host": "db.example:443"}
        self.assertEqual(self.registry.get_sample_value("conntrack_open_connections", found), 2)

    def test_every_metric_is_documented_with_its_type_and_labels(self) -> None:
        """Each family of ours has a row."""
        for family in self.registry.collect():
            if not family.name.startswith(PREFIX):
                continue
            name = family.name.removeprefix("netappliance_") + ("_total" if family.type == "counter" else "")
            table = [row.split("|") for row in DOCUMENT.splitlines() if row.startswith("|")]
            rows = [row for row in table if f"`{name}`" in row[1]]
            self.assertEqual(len(rows), 1, name)
            self.assertIn(family.type, rows[0][2], name)
            for label in getattr(family, "_labelnames", ()):
                self.assertIn(label, rows[0][3], name)

    def test_the_page_is_the_same_text_each_time(self) -> None:
        """No sample is there twice."""
        self.table.event(change(NEW, state=3), 1.0)
        lines = [line for line in generate_latest(self.registry).decode().splitlines() if line[0] != "#"]
        names = [re.sub(r" \S+$", "", line) for line in lines]
        self.assertEqual(len(names), len(set(names)))


class SectionTests(SynchronousTestCase):
    """``[tracker]``."""

    def section(self, text: str) -> tuple[TrackerSection | None, list[str]]:
        """Return the section of a text, or what is wrong with it."""
        raw, problems = parse("[tracker]\n" + text)
        found = parse_section(TrackerSection, raw[0], problems)
        if found is not None:
            problems += TrackerKind().check(found, Configuration("", {}, ()))
        return found, [problem.why for problem in problems if isinstance(problem, ConfigProblem)]

    def test_groups_and_expected(self) -> None:
        """Groups are read line by line, in order."""
        found, problems = self.section("groups =\n  b = 10.0.0.0/8\n  a = ::/0\nexpected = a, b\n")
        self.assertEqual(([group.name for group in found.groups] if found else None, problems), (["b", "a"], []))

    def test_mistakes(self) -> None:
        """A group twice, too many, or expected and not there."""
        for text in (
            "groups =\n  b = 10.0.0.0/8\n  b = ::/0\n",
            "groups =\n" + "".join(f"  g{n} = ::/0\n" for n in range(MAX_GROUPS + 1)),
            "groups = b = 10.0.0.0/8\nexpected = c\n",
            "ignore = nowhere\n",
            "event_log_format = xml\n",
        ):
            self.assertEqual(len(self.section(text)[1]), 1, text)
