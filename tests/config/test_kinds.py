"""Plug-ins are found by name, or the operator learns which there are."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import plugins as installed
from netappliance.config.kinds import Kinds, section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.interfaces import IConnectionObserver


@dataclass
class Named:
    """Stands for any plug-in."""

    name: str = ""
    kind: str = ""


class OwnKindTests(SynchronousTestCase):
    """Ours are named in a list before they are imported."""

    def test_the_list_says_what_the_kinds_say(self) -> None:
        """Word, whether they have names, and whether they are in force without a section."""
        for provider in section_kinds().values():
            loaded = provider._load()
            found = loaded.kind, loaded.named, getattr(loaded, "always", False)
            self.assertEqual(found, (provider.kind, provider.named, provider.always))


class FindTests(SynchronousTestCase):
    """One mechanism for balancers, observers, filters and what comes."""

    def installed(self, *found: str) -> None:
        """Plug-ins with these names are installed."""
        self.patch(installed, "getPlugins", lambda interface, package: [Named(name) for name in found])

    def test_a_plug_in_is_found_by_its_name(self) -> None:
        """And all names can be listed."""
        self.installed("b", "a")
        self.assertEqual(installed.find(IConnectionObserver, "a").name, "a")
        self.assertEqual(installed.names(IConnectionObserver), ["a", "b"])

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        """The message is what the error says was expected."""
        self.installed("b", "a")
        error = self.assertRaises(ValueError, installed.find, IConnectionObserver, "c")
        self.assertEqual(str(error), "a | b")

    def test_a_name_that_two_distributions_bring_is_refused(self) -> None:
        """Which of them runs must not depend on the order of a path."""
        self.installed("a", "a")
        self.assertIn("two distributions", str(self.assertRaises(ValueError, installed.find, IConnectionObserver, "a")))

    def test_an_unknown_observer_is_an_error_of_the_file_with_a_suggestion(self) -> None:
        """The same words as for keys and sections."""
        kinds = section_kinds()
        self.installed("audit")
        errors = self.assertRaises(ConfigErrors, load, "[appliance]\nobservers = audti\n", "p.ini", kinds)
        self.assertIn("unknown observer; did you mean 'audit'? (got 'audti'; expected audit", str(errors))

    def test_a_section_kind_that_two_plug_ins_claim_is_an_error_of_every_file(self) -> None:
        """Nothing is served by the one that came first."""
        twice = Kinds([*section_kinds().values(), Named(kind="tcp")])
        errors = self.assertRaises(ConfigErrors, load, "[appliance]\n", "p.ini", twice)
        self.assertIn("[tcp] two plug-ins provide this section kind", str(errors))
