"""Names and aliases of the filters, a class of your own, and that no datagram makes one raise."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance.config.ini import parse
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IDatagramFilterKind
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop
from netappliance.udp.filters import BUILTIN, filter_kind, filter_names, section_without_options
from tests.udp.filters.support import build, datagram, section

KEY = bytes(range(32))


class Upper(DatagramFilter):
    """A user's filter."""

    def __init__(self, suffix: str = "") -> None:
        self.suffix = suffix.encode()

    def read(self, datagram: Datagram) -> Drop | None:
        """Shout."""
        datagram.payload = datagram.payload.upper() + self.suffix
        return None


class KindTests(SynchronousTestCase):
    """Names, aliases, options."""

    def test_every_kind_provides_the_interface_and_answers_to_quilkins_name(self) -> None:
        """The aliases of the YAML files people have."""
        for kind in BUILTIN:
            verifyObject(IDatagramFilterKind, kind)
            for alias in kind.aliases:
                self.assertIs(filter_kind(alias), kind)
        self.assertEqual(filter_kind("quilkin.filters.capture.v1alpha1.Capture").name, "capture")
        self.assertIn("token_router", str(self.assertRaises(ValueError, filter_kind, "nope")))

    def test_kinds_without_options_need_no_section(self) -> None:
        """And those with required ones say which."""
        self.assertEqual(section_without_options("drop").kind, "drop")
        self.assertIn("bytes", str(self.assertRaises(ValueError, section_without_options, "concatenate")))

    def test_a_class_of_the_users_is_made_with_its_options(self) -> None:
        """And refused in words when it cannot be."""
        made = build("kind = python\nclass = tests.udp.filters.test_kinds:Upper\noptions = suffix=!")
        given_ = datagram(b"hi")
        made.read(given_)
        self.assertEqual(given_.payload, b"HI!")
        for name in (
            "no.such:Thing",
            "tests.udp.filters.test_kinds:Missing",
            "tests.udp.filters.test_kinds:KEY",
            "nonsense",
        ):
            self.assertRaises(ValueError, build, f"kind = python\nclass = {name}")

    SECTIONS = (
        "kind = capture\nsize = 3\nremove = yes",
        "kind = capture\nstrategy = regex\npattern = [a-z]+",
        "kind = capture\nstrategy = offset\noffset = 2\nsize = 1",
        "kind = token_router",
        "kind = load_balancer\npolicy = RANDOM",
        "kind = firewall\non_read = allow any",
        "kind = rate_limit\nmax_packets = 5\nmax_bytes = 100",
        "kind = concatenate\non_read = append\nbytes = eA==",
        "kind = compress\non_read = decompress\non_write = compress",
        "kind = compress\nmode = lz4\non_read = decompress\non_write = decompress",
        "kind = match\non_read = a pass\non_write = a drop",
        "kind = timestamp",
        "kind = debug",
        "kind = drop",
        "kind = pass",
        f"kind = decryptor\nkey = {base64.b64encode(KEY).decode()}\nnonce_key = quilkin.dev/capture",
    )

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from(SECTIONS),
        st.binary(max_size=400),
        st.one_of(
            st.none(), st.binary(max_size=30), st.integers(), st.text(max_size=5), st.lists(st.binary(max_size=3))
        ),
        st.sampled_from([("192.0.2.1", 1), ("2001:db8::1", 65535), ("fe80::1%eth0", 9), ("", 0), ("junk", 1)]),
    )
    def test_no_datagram_makes_a_filter_raise(
        self, options: str, payload: bytes, value: object, source: tuple[str, int]
    ) -> None:
        """Whatever it holds, whatever an earlier filter left in the metadata."""
        filter_ = build(options)
        for side in (filter_.read, filter_.write):
            given_ = datagram(payload, source)
            given_.metadata["quilkin.dev/capture"] = value
            if options.startswith("kind = rate_limit") and source[0] in ("", "junk"):
                continue  # the service gives it addresses of the kernel only
            self.assertIn(side(given_), [None, *Drop])


class SectionTests(SynchronousTestCase):
    """[filter NAME] in a file."""

    def test_problems_are_values(self) -> None:
        """The kind of section says what is wrong without raising."""
        from netappliance.filters.kind import FilterKind

        raws, _ = parse("[filter a]\nkind = captur\n[filter b]\nsize = 1\n")
        answers = [FilterKind().schema_for(raw) for raw in raws]
        self.assertTrue(all(isinstance(answer, ConfigProblem) for answer in answers))


class NameTests(SynchronousTestCase):
    """What stands in configurations."""

    def test_names_and_aliases(self) -> None:
        """Every kind's name, and what Quilkin's YAML calls it."""
        quilkins = {
            "Capture": "capture",
            "TokenRouter": "token_router",
            "LoadBalancer": "load_balancer",
            "Firewall": "firewall",
            "Concatenate": "concatenate",
            "Compress": "compress",
            "Match": "match",
            "Timestamp": "timestamp",
            "Debug": "debug",
            "Drop": "drop",
            "Pass": "pass",
            "Decryptor": "decryptor",
        }
        for alias, name in quilkins.items():
            self.assertEqual(filter_kind(f"quilkin.filters.{name}.v1alpha1.{alias}").name, name)
        for alias, name in (
            ("local_rate_limit.v1alpha1.LocalRateLimit", "rate_limit"),
            ("token_router.v1alpha1.HashedTokenRouter", "hashed_token_router"),
            ("matches.v1alpha1.Match", "match"),
        ):
            self.assertEqual(filter_kind(f"quilkin.filters.{alias}").name, name)
        names = [*quilkins.values(), "rate_limit", "hashed_token_router", "python"]
        self.assertEqual(sorted(kind.name for kind in BUILTIN), sorted(names))
        self.assertEqual(set(filter_names()), set(names))

    def test_every_kind_can_be_built(self) -> None:
        """Its section and its maker are where it says."""
        for options in KindTests.SECTIONS:
            made = section(options)
            self.assertEqual(made.kind, options.split()[2])
            self.assertTrue(hasattr(build(options), "read"))

    def test_a_class_without_both_sides_is_refused(self) -> None:
        """In words that name the side."""
        for name, lacks in (("OnlyRead", "write"), ("OnlyWrite", "read")):
            where = f"tests.udp.filters.test_kinds:{name}"
            error = self.assertRaises(ValueError, build, f"kind = python\nclass = {where}")
            self.assertEqual(str(error), f"class: {where} has no {lacks}(datagram)")


class OnlyRead:
    """Half a filter."""

    def read(self, datagram: Datagram) -> Drop | None:
        """Pass."""


class OnlyWrite:
    """The other half."""

    def write(self, datagram: Datagram) -> Drop | None:
        """Pass."""
