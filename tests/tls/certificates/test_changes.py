"""What changes of a directory mean."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates.changes import MAX_LOOKS, Settling, merged
from netappliance.tls.certificates.directory import CertificateSet
from netappliance.tls.certificates.files import ABSENT, CertificateFile, Stamps
from netappliance.tls.certificates.refusals import Reason, Refusal
from tests.tls.certificates.test_selection import credential


def stamps(number: int) -> Stamps:
    """Return different ones for different numbers."""
    return (number, 0, 0, 0), None


class SettlingTests(SynchronousTestCase):
    """Settling."""

    def test_a_change_is_taken_when_it_was_the_same_twice(self) -> None:
        """New, changed, removed."""
        settling = Settling()
        changed = {"c": None, "a": stamps(2), "d": stamps(1)}
        self.assertEqual(settling.look(changed), [])
        self.assertEqual(settling.look(changed), ["a", "c", "d"])

    def test_one_that_is_being_written(self) -> None:
        """Is waited for."""
        settling = Settling()
        for number in range(2, 5):
            self.assertEqual(settling.look({"a": stamps(number)}), [])
        self.assertEqual(settling.look({"a": stamps(4)}), ["a"])

    def test_one_that_is_always_being_written(self) -> None:
        """Is read at some time."""
        settling = Settling()
        found = [settling.look({"a": stamps(number)}) for number in range(2, 2 + MAX_LOOKS)]
        self.assertEqual(found, [[]] * (MAX_LOOKS - 1) + [["a"]])

    def test_one_that_is_away_for_a_moment(self) -> None:
        """Removed and written anew."""
        settling = Settling()
        self.assertEqual([settling.look({"a": None}), settling.look({}), settling.look({"a": None})], [[]] * 3)

    @settings(deadline=None)
    @given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2).map(stamps)), min_size=1, max_size=12))
    def test_all_is_known_in_the_end(self, looks: list[dict[str, Stamps]]) -> None:
        """Whatever happened: after two looks at the same there is nothing that is not known."""
        settling = Settling()
        known: dict[str, Stamps] = {}
        for seen in (*looks, looks[-1], looks[-1]):
            files = known.keys() | seen.keys()
            changed = {file: seen.get(file) for file in files if seen.get(file) != known.get(file)}
            for file in settling.look(changed):
                if file in seen:
                    known[file] = seen[file]
                else:
                    del known[file]
        self.assertEqual(known, looks[-1])


def file(name: str, **what: str) -> CertificateFile:
    """Return one that is served."""
    refusal = Refusal(name, Reason.MALFORMED, what["refused"]) if "refused" in what else None
    return CertificateFile(name, stamps(1), credential(name, name[:1].encode() + b".org"), refusal)


class MergedTests(SynchronousTestCase):
    """Merged."""

    def served(self, merged: CertificateSet) -> dict[str, str]:
        """Return what is served, and why although it should not be."""
        return {
            each.file: each.refusal.why if each.refusal else "" for each in merged.files.values() if each.credential
        }

    def merged(
        self,
        current: CertificateSet,
        *read: CertificateFile,
        removed: str = "",
        default: str = "",
        may_be_empty: bool = False,
    ) -> CertificateSet:
        """Merge."""
        return merged(current, read, removed.split(), default=default, may_be_empty=may_be_empty)

    def setUp(self) -> None:
        self.both = CertificateSet("d", (file("a.pem"), file("c.pem")))

    def test_added_replaced_removed(self) -> None:
        """In the order of names; what did not change is the same."""
        new = self.merged(self.both, file("b.pem"), file("c.pem"), removed="a.pem")
        self.assertEqual(list(new.files), ["b.pem", "c.pem"])
        self.assertIsNot(new.files["c.pem"], self.both.files["c.pem"])
        self.assertIs(self.merged(self.both, file("b.pem")).files["a.pem"], self.both.files["a.pem"])

    def test_the_default_stays(self) -> None:
        """With the reason, until it comes again."""
        for default in ("a", "a.pem"):
            new = self.merged(self.both, removed="a.pem", default=default)
            self.assertIn("it is the default", self.served(new)["a.pem"])
            self.assertIs(new.credentials[0], self.both.credentials[0])
            self.assertEqual(new.files["a.pem"].stamps, ABSENT)
        again = self.merged(new, file("d.pem"), default="a")
        self.assertIn("it is the default", self.served(again)["a.pem"])
        self.assertEqual(self.served(self.merged(again, file("a.pem"), default="a"))["a.pem"], "")

    def test_the_last_ones_stay(self) -> None:
        """Until others come; unless there may be none."""
        new = self.merged(self.both, removed="a.pem c.pem")
        self.assertEqual(sorted(self.served(new)), ["a.pem", "c.pem"])
        self.assertIn("no other", self.served(new)["c.pem"])
        self.assertEqual(self.served(self.merged(new, file("b.pem"))), {"b.pem": ""})
        self.assertEqual(self.merged(self.both, removed="a.pem c.pem", may_be_empty=True).files, {})

    def test_bad_files_are_nothing_to_serve(self) -> None:
        """One that never was good does not stand in for the last, and goes without a word."""
        bad = CertificateFile("b.pem", stamps(1), None, Refusal("b.pem", Reason.NO_KEY, "holds no private key"))
        new = self.merged(self.both, bad, removed="a.pem c.pem")
        self.assertEqual(sorted(self.served(new)), ["a.pem", "c.pem"])
        self.assertEqual(list(self.merged(new, removed="b.pem").files), ["a.pem", "c.pem"])
