"""Which section serves a name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tcp.server_names import ServerNames

names = st.lists(st.sampled_from("abc"), max_size=4).map(".".join)
patterns = st.one_of(names.filter(bool), names.filter(bool).map("*.{}".format), st.just("*"))


class ServerNamesTests(SynchronousTestCase):
    """Exact, one label, anything."""

    def test_exact_goes_before_wildcard_before_any(self) -> None:
        """Whatever the order of the file."""
        table: ServerNames[str] = ServerNames()
        table.add(["*"], "any")
        table.add(["*.example.org", "*.org"], "wildcard")
        table.add(["www.example.org", "example.org"], "exact")
        for name, expected in (
            (b"www.example.org", "exact"),
            (b"example.org", "exact"),
            (b"mail.example.org", "wildcard"),
            (b"other.org", "wildcard"),
            (b"a.www.example.org", "any"),
            (b"org", "any"),
            (b"", "any"),
        ):
            self.assertEqual(table.find(name), expected, name)

    def test_without_any_there_may_be_nobody(self) -> None:
        """For other names, and for clients that name nothing."""
        table: ServerNames[str] = ServerNames()
        self.assertIsNone(table.find(b"a"))
        table.add(["*.b", "c"], "found")
        for name in (b"", b"b", b"a.a.b", b"d", b"a.c", b".", b"*"):
            self.assertIsNone(table.find(name), name)

    @given(st.lists(st.tuples(patterns, st.integers()), max_size=6, unique_by=lambda pair: pair[0]), names)
    def test_as_the_patterns_say(self, pairs: list[tuple[str, int]], name: str) -> None:
        """The slow way says the same."""
        table: ServerNames[int] = ServerNames()
        for pattern, target in pairs:
            table.add([pattern], target)
        by_pattern = dict(pairs)
        expected = by_pattern.get(name, by_pattern.get("*." + name.partition(".")[2], by_pattern.get("*")))
        if not name.partition(".")[2]:
            expected = by_pattern.get(name, by_pattern.get("*"))
        self.assertEqual(table.find(name.encode()), expected)
