"""Which certificate is shown for a name, against a model that goes through all of them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates.credential import Credential, Kind
from netappliance.tls.certificates.selection import Selection, Served
from tests.certificates import Credentials, self_signed

KEYS: dict[Kind, Credentials] = {"ecdsa": self_signed("a"), "rsa": self_signed("a", kind="rsa")}
NOW = 1000.0


def credential(
    file: str,
    *names: bytes,
    kind: Kind = "ecdsa",
    not_before: float = 0.0,
    not_after: float = 2000.0,
    addresses: frozenset[bytes] = frozenset(),
) -> Credential:
    """Return one of these names; what is inside of it does not matter to the choice."""
    made = KEYS[kind]
    return Credential(file, made.certificate, (), made.key, kind, file, names, addresses, not_before, not_after)


def files(served: Served | None) -> list[str]:
    """Return the files of what is shown."""
    return [] if served is None else [each.file for each in served.credentials]


class SelectionTests(SynchronousTestCase):
    """Selection."""

    def test_exact_before_wildcard_before_default(self) -> None:
        """A wildcard stands for one label, and not for none."""
        selection = Selection(
            [credential("a.pem", b"a.org"), credential("w.pem", b"*.org", b"*.a.org"), credential("x.pem", b"x.a.org")],
            NOW,
        )
        for name, file in (
            (b"a.org", "a.pem"),
            (b"b.org", "w.pem"),
            (b"x.a.org", "x.pem"),
            (b"y.a.org", "w.pem"),
            (b"y.x.a.org", "a.pem"),
            (b"org", "a.pem"),
            (b".org", "a.pem"),
            (b"X.A.oRg.", "x.pem"),
            (b"", "a.pem"),
            (b"\xff", "a.pem"),
        ):
            self.assertEqual(files(selection.choose(name)), [file], name)
        self.assertEqual(files(selection.choose(b"")), ["a.pem"])
        self.assertIsNone(selection.find(b"y.x.a.org"))

    def test_the_default(self) -> None:
        """The first file in order, or the one that is named, with or without its extension."""
        two = [credential("b.pem", b"b.org"), credential("a.pem", b"a.org")]
        self.assertEqual(files(Selection(two, NOW).default), ["a.pem"])
        self.assertEqual(files(Selection(two, NOW, "b").default), ["b.pem"])
        self.assertEqual(files(Selection(two, NOW, "b.pem").choose(b"z")), ["b.pem"])
        with self.assertRaisesRegex(ValueError, r"^the name of a file of the directory \(a, b\)$"):
            Selection(two, NOW, "c")
        with self.assertRaisesRegex(ValueError, "none"):
            Selection([], NOW, "c")

    def test_nothing_at_all(self) -> None:
        """A directory that may be empty."""
        selection = Selection([], NOW)
        self.assertIsNone(selection.default)
        self.assertIsNone(selection.choose(b"a.org"))

    def test_the_default_is_shown_although_a_longer_lived_one_has_its_name(self) -> None:
        """It was named; and with the other kind of key beside it."""
        three = [
            credential("a.pem", b"a.org", b"z.org"),
            credential("b.pem", b"a.org", not_after=9000.0),
            credential("r.pem", b"a.org", kind="rsa"),
        ]
        selection = Selection(three, NOW, "a")
        self.assertEqual(files(selection.default), ["a.pem", "r.pem"])
        self.assertEqual(files(selection.choose(b"a.org")), ["b.pem", "r.pem"])

    def test_a_default_without_names(self) -> None:
        """Is shown to whoever asks for nothing that there is."""
        selection = Selection([credential("a.pem"), credential("b.pem", b"b.org")], NOW)
        self.assertEqual(files(selection.choose(b"a.org")), ["a.pem"])

    def test_both_kinds_of_a_name_are_one(self) -> None:
        """One object, also for several names, ECDSA first."""
        selection = Selection(
            [credential("r.pem", b"a.org", b"b.org", kind="rsa"), credential("z.pem", b"a.org", b"b.org", b"c.org")],
            NOW,
        )
        self.assertEqual(files(selection.choose(b"a.org")), ["z.pem", "r.pem"])
        self.assertIs(selection.choose(b"a.org"), selection.choose(b"b.org"))
        self.assertEqual(files(selection.choose(b"c.org")), ["z.pem"])
        self.assertEqual(len(selection.served), 2)

    def test_the_longest_lived_that_is_valid_now(self) -> None:
        """Of one kind; the future begins when it begins."""
        three = [
            credential("a.pem", b"a.org", not_after=2000.0),
            credential("b.pem", b"a.org", not_after=3000.0),
            credential("c.pem", b"a.org", not_before=1500.0, not_after=4000.0),
        ]
        early, late = Selection(three, NOW), Selection(three, 1500.0)
        self.assertEqual(files(early.choose(b"a.org")), ["b.pem"])
        self.assertEqual(early.stale_at, 1500.0)
        self.assertEqual(files(late.choose(b"a.org")), ["c.pem"])
        self.assertEqual(late.stale_at, float("inf"))

    def test_an_expired_one_is_better_than_none(self) -> None:
        """Clients say so more clearly than a handshake that fails; the first of equals is taken."""
        two = [credential("b.pem", b"a.org", not_after=10.0), credential("a.pem", b"a.org", not_after=10.0)]
        self.assertEqual(files(Selection(two, NOW).choose(b"a.org")), ["a.pem"])

    def test_contexts_are_kept_while_their_credentials_are(self) -> None:
        """A new selection has the objects of the previous one."""
        a, b, r = (
            credential("a.pem", b"a.org"),
            credential("b.pem", b"b.org"),
            credential("r.pem", b"b.org", kind="rsa"),
        )
        old = Selection([a, b], NOW)
        new = Selection([a, b, r], NOW, previous=old)
        self.assertIs(new.choose(b"a.org"), old.choose(b"a.org"))
        self.assertIsNot(new.choose(b"b.org"), old.choose(b"b.org"))
        self.assertNotIn(old.choose(b"b.org"), new.served)

    def test_covers(self) -> None:
        """Names, wildcards of one label, addresses in any spelling; no name looks like an address."""
        served = Served((credential("a.pem", b"a.org", b"*.b.org", addresses=frozenset((b"10.0.0.1", b"::1"))),))
        for host in (b"a.org", b"A.org.", b"x.b.org", b"10.0.0.1", b"[::1]", b"::1", b"[0:0::1]"):
            self.assertTrue(served.covers(host), host)
        for host in (b"b.org", b".b.org", b"x.a.org", b"y.x.b.org", b"10.0.0.2", b"[::2]", b"", b"a.org:443"):
            self.assertFalse(served.covers(host), host)

    def test_covers_what_both_cover(self) -> None:
        """Which of the two the client was shown is not known."""
        served = Served((credential("a.pem", b"a.org", b"b.org"), credential("r.pem", b"*.org", b"c.net", kind="rsa")))
        self.assertEqual(
            [served.covers(host) for host in (b"a.org", b"b.org", b"c.org", b"c.net")], [True, True, False, False]
        )


_LABELS = st.sampled_from([b"a", b"b", b"c"])
_HOSTS = st.lists(_LABELS, min_size=1, max_size=3).map(b".".join)
_NAMES = st.lists(_HOSTS | _HOSTS.map(lambda host: b"*." + host), max_size=4, unique=True).map(tuple)
_TIMES = st.sampled_from([500.0, 900.0, 1500.0, 2000.0])
_CREDENTIALS = st.lists(
    st.builds(
        lambda file, names, kind, start, end: credential(file, *names, kind=kind, not_before=start, not_after=end),
        st.sampled_from([f"{letter}.pem" for letter in "abcdefgh"]),
        _NAMES,
        st.sampled_from(["ecdsa", "rsa"]),
        _TIMES,
        _TIMES,
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each.file,
)


def model(credentials: list[Credential], name: bytes) -> list[str]:
    """Say which files are shown: look at each credential for the exact name, then at each for the wildcard."""
    for wanted in (name, b"*." + name.partition(b".")[2] if b"." in name else None):
        shown = []
        for kind in ("ecdsa", "rsa"):
            fitting = [each for each in credentials if wanted in each.names and each.kind == kind]
            fitting.sort(key=lambda each: (not each.not_before <= NOW <= each.not_after, -each.not_after, each.file))
            shown += [each.file for each in fitting[:1]]
        if shown:
            return shown
    return []


class ModelTests(SynchronousTestCase):
    """Any credentials, any name."""

    @settings(deadline=None)
    @given(_CREDENTIALS, _HOSTS)
    def test_choice(self, credentials: list[Credential], name: bytes) -> None:
        """As the model says; where nothing fits, the default, which has the first file."""
        selection = Selection(credentials, NOW)
        self.assertEqual(files(selection.find(name)), model(credentials, name))
        first = min(each.file for each in credentials)
        self.assertIn(first, files(selection.default))
        self.assertIs(selection.choose(name), selection.find(name) or selection.default)

    @settings(deadline=None)
    @given(_CREDENTIALS, _HOSTS)
    def test_what_is_chosen_by_name_covers_it(self, credentials: list[Credential], name: bytes) -> None:
        """So that no request for the name that was asked for is misdirected."""
        found = Selection(credentials, NOW).find(name)
        self.assertTrue(found is None or found.covers(name))

    @settings(deadline=None)
    @given(_CREDENTIALS, _HOSTS)
    def test_coverage(self, credentials: list[Credential], name: bytes) -> None:
        """Of each certificate: its name, or the wildcard of its parent."""
        for each in credentials:
            fits = name in each.names or (b"." in name and b"*." + name.partition(b".")[2] in each.names)
            self.assertEqual(Served((each,)).covers(name), fits)

    @settings(deadline=None)
    @given(_CREDENTIALS, _CREDENTIALS)
    def test_nothing_of_the_previous_one_but_its_objects(
        self, before: list[Credential], after: list[Credential]
    ) -> None:
        """The choice is the same with and without it."""
        shared = before[:1] + [each for each in after if each.file != before[0].file]
        fresh, next_one = Selection(shared, NOW), Selection(shared, NOW, previous=Selection(before, NOW))
        self.assertEqual([files(each) for each in fresh.served], [files(each) for each in next_one.served])
        self.assertEqual(files(fresh.default), files(next_one.default))
