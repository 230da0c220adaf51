"""What kinds are given: what third parties are promised, and what is found by its type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.process.appliance import Appliance

PLUGINS = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"


class Pools:
    """Something that sections of a kind share."""

    def __len__(self) -> int:
        """Empty things are things too."""
        return 0


class ApplianceTests(SynchronousTestCase):
    """Not started."""

    def setUp(self) -> None:
        clock: Any = Clock()
        self.appliance = Appliance(load("[appliance]\n", "f.ini", section_kinds()), clock, clock.seconds)

    def test_what_is_documented_is_there(self) -> None:
        """Kinds of others rely on it."""
        promised = re.search(r"of `appliance` there are(.*?)and `shared", PLUGINS.read_text(), re.DOTALL)
        assert promised is not None
        names = re.findall(r"`(\w+)`", promised[1])
        self.assertEqual(len(names), 13)
        for name in names:
            self.assertTrue(hasattr(self.appliance, name), name)

    def test_the_first_who_asks_makes_it_and_the_others_find_it(self) -> None:
        """One for each type."""
        self.assertIsNone(self.appliance.find(Pools))
        made = self.appliance.shared(Pools, Pools)
        self.assertIs(self.appliance.shared(Pools, Pools), made)
        self.assertIs(self.appliance.find(Pools), made)

    def test_what_is_shared_is_found_by_its_type(self) -> None:
        """As what the lifecycle makes for kinds that come later."""
        pools = Pools()
        self.appliance.share(pools)
        self.assertIs(self.appliance.find(Pools), pools)
        self.assertIs(self.appliance.shared(Pools, self.fail), pools)

    def test_the_plane_is_what_the_names_say(self) -> None:
        """Services are given it, kinds of others take its parts."""
        appliance, plane = self.appliance, self.appliance.plane
        self.assertEqual(
            (plane.poller, plane.timers, plane.sessions, plane.admission),
            (appliance.poller, appliance.timers, appliance.sessions, appliance.admission),
        )
