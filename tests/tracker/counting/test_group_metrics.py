"""Families of groups as Prometheus gets them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.counting.group_metrics import expected, families
from netappliance.tracker.counting.totals import Totals


class FamilyTests(SynchronousTestCase):
    """Numbers that differ, so that none can stand for another."""

    def test_every_number_is_shown_under_its_labels(self) -> None:
        """Handshakes of TCP only, by group and direction."""
        tcp, udp = Totals("web", "in", "tcp"), Totals("web", "out", "udp")
        tcp.gauges, tcp.opened, tcp.established = [1, 2, 3, 4, 99], 5, 6
        tcp.closed, tcp.traffic = [11, 12, 13, 14, 15, 16, 17], [21, 22, 23, 24]
        tcp.durations.observe(7.0)
        tcp.handshakes.observe(0.75)
        shown = {}
        for family in families([tcp, udp]):
            self.assertTrue(family.name.startswith("netappliance_tracker_"))
            for sample in family.samples:
                labels = ",".join(sample.labels.values())
                shown[f"{sample.name.removeprefix('netappliance_tracker_')} {labels}"] = sample.value
        key = "web,in,tcp"
        wanted = {
            **{f"connections {key},{state}": n for n, state in enumerate(("opening", "open", "closing", "closed"), 1)},
            f"opened_total {key}": 5,
            f"established_total {key}": 6,
            f"packets_total {key},original": 21,
            f"bytes_total {key},original": 22,
            f"packets_total {key},reply": 23,
            f"bytes_total {key},reply": 24,
            f"duration_secs_sum {key}": 7.0,
            f"duration_secs_bucket {key},5.0": 0,
            f"duration_secs_bucket {key},10.0": 1,
            "handshake_secs_sum web,in": 0.75,
            "handshake_secs_count web,in": 1,
        }
        ways = ("fin", "rst", "refused", "timeout", "unanswered", "killed", "unobserved")
        wanted |= {f"closed_total {key},{how}": n for n, how in enumerate(ways, 11)}
        self.assertEqual({name: shown.get(name) for name in wanted}, wanted)
        self.assertEqual((shown["opened_total web,out,udp"], "handshake_secs_sum web,out" in shown), (0, False))
        for family in families([]):
            self.assertEqual((family.samples, bool(family.documentation)), ([], True))

    def test_labels_have_names(self) -> None:
        """Of each family."""
        names = {
            family.name.removeprefix("netappliance_tracker_"): [*family.samples[0].labels]
            for family in families([Totals("g", "in", "tcp")])
        }
        three = ["group", "direction", "protocol"]
        self.assertEqual(
            names,
            {
                "connections": [*three, "state"],
                "opened": three,
                "established": three,
                "closed": [*three, "how"],
                "packets": [*three, "way"],
                "bytes": [*three, "way"],
                "duration_secs": [*three, "le"],
                "handshake_secs": ["group", "direction", "le"],
            },
        )

    def test_expected_links(self) -> None:
        """Up while any direction or protocol of the group has an open connection."""
        opening, open_ = Totals("db", "out", "tcp"), Totals("db", "in", "udp")
        opening.gauges = [9, 0, 9, 9, 9]
        for count, up in ((0, 0.0), (1, 1.0), (2, 1.0)):
            open_.gauges[1] = count
            family = expected(["db", "gone"], [opening, open_])
            self.assertEqual(family.name, "netappliance_tracker_expected_up")
            found = [(sample.labels, sample.value) for sample in family.samples]
            self.assertEqual(found, [({"group": "db"}, up), ({"group": "gone"}, 0.0)])
