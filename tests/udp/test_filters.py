"""Every datagram filter: what it does, what it drops, and that no datagram makes it raise."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.config.ini import parse
from netappliance.config.schema import parse_section
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IDatagramFilterKind
from netappliance.udp.chain import LOG_EVERY_S, SAMPLE, FilterChain
from netappliance.udp.datagram import MAX_PAYLOAD, Datagram, DatagramFilter, Drop, Resources
from netappliance.udp.filters import BUILTIN, filter_kind, section_without_options
from netappliance.udp.filters.compress import compress, decompress, read_varint, write_varint

KEY = bytes(range(32))
logged: list[str] = []


def resources() -> Resources:
    """Fixed: time stands at 1000."""
    return Resources(
        rng=random.Random(1), wall=lambda: 1000.0, build=lambda name: build(f"kind = {name}"), log=logged.append
    )


def build(options: str) -> Any:
    """The filter that ``[filter x]`` with these options makes."""
    raws, problems = parse(f"[filter x]\n{options}\n")
    section = parse_section(filter_kind(raws[0].options["kind"].text).schema, raws[0], problems)
    if problems:
        raise ValueError("; ".join(problem.render("f") for problem in problems))
    return filter_kind(section.kind).make(section, resources())


def backend(number: int, *tokens: bytes) -> Backend:
    """Backend 10.0.0.N:7."""
    address = (f"10.0.0.{number}", 7)
    return Backend(BackendSection(f"b{number}", *address, tokens=tokens), 2, address, f"b{number}")


BACKENDS = (backend(1, b"abc"), backend(2, b"xyz", b"abc"), backend(3))


def datagram(payload: bytes = b"", source: tuple[str, int] = ("192.0.2.1", 5000), **metadata: Any) -> Datagram:
    """One from a client, with three backends behind."""
    made = Datagram()
    made.payload = payload
    made.source = made.client = source
    made.metadata = metadata
    made.backends = BACKENDS
    tokens: dict[bytes, Sequence[Backend]] = {b"abc": BACKENDS[:2], b"xyz": BACKENDS[1:2]}
    made.by_token = tokens
    return made


class CaptureTests(SynchronousTestCase):
    """Pieces of the payload."""

    def check(self, options: str, payload: bytes, piece: bytes | None, left: bytes) -> None:
        """Run one datagram; a piece of None means that it is dropped."""
        filter_ = build(f"kind = capture\nmetadata_key = k\n{options}")
        given_ = datagram(payload)
        drop = filter_.read(given_)
        self.assertEqual(drop, Drop.CAPTURE_FAILED if piece is None else None)
        self.assertEqual((given_.metadata.get("k"), given_.payload), (piece, left))

    def test_each_strategy_captures_and_cuts(self) -> None:
        """With and without remove; what is too short is dropped untouched."""
        self.check("strategy = prefix\nsize = 3", b"abcdef", b"abc", b"abcdef")
        self.check("strategy = prefix\nsize = 3\nremove = yes", b"abcdef", b"abc", b"def")
        self.check("strategy = suffix\nsize = 3\nremove = yes", b"abcdef", b"def", b"abc")
        self.check("strategy = suffix\nsize = 3\nremove = yes", b"def", b"def", b"")
        self.check("strategy = suffix\nsize = 3", b"de", None, b"de")
        self.check("strategy = offset\noffset = 1\nsize = 2\nremove = yes", b"abcd", b"bc", b"ad")
        self.check("strategy = offset\noffset = 3\nsize = 2", b"abcd", None, b"abcd")

    def test_a_regex_that_matches_several_times_captures_bytes_once(self) -> None:
        """Quilkin stored a list there, which its token router could not stand."""
        self.check("strategy = regex\npattern = b+", b"abbcb", b"bb", b"abbcb")
        self.check("strategy = regex\npattern = id=(..)\nremove = yes", b"x id=42 y", b"42", b"x id= y")
        self.check("strategy = regex\npattern = q", b"abc", None, b"abc")
        self.check("strategy = regex\npattern = a|(b)", b"a", None, b"a")

    def test_options_that_cannot_be_are_refused(self) -> None:
        """By name."""
        for options, word in (
            ("strategy = prefix", "size"),
            ("strategy = regex", "pattern"),
            ("strategy = regex\npattern = (", "regular expression"),
            ("strategy = middle", "strategy"),
            ("size = 70000", "size"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, build, f"kind = capture\n{options}")))


class RoutingTests(SynchronousTestCase):
    """Destinations."""

    def test_every_backend_with_the_token_gets_a_copy(self) -> None:
        """And only those."""
        router = build("kind = token_router\nmetadata_key = k")
        given_ = datagram(k=b"abc")
        self.assertIsNone(router.read(given_))
        self.assertEqual(given_.destinations, BACKENDS[:2])

    def test_no_token_no_match_and_wrong_types_are_dropped(self) -> None:
        """Whatever another filter left under the key."""
        router = build("kind = hashed_token_router\nmetadata_key = k")
        for metadata, reason in (
            ({}, Drop.NO_TOKEN),
            ({"k": b"nope"}, Drop.NO_MATCH),
            ({"k": [b"abc"]}, Drop.NO_TOKEN),
            ({"k": "abc"}, Drop.NO_TOKEN),
            ({"k": 7}, Drop.NO_TOKEN),
        ):
            given_ = datagram()
            given_.metadata = metadata
            self.assertEqual((router.read(given_), given_.destinations), (reason, None))

    def test_the_load_balancer_chooses_for_each_datagram_and_honours_earlier_choices(self) -> None:
        """Quilkin's ignored them, and divided by zero without endpoints."""
        balancer = build("kind = load_balancer\npolicy = ROUND_ROBIN")
        chosen = []
        for _ in range(6):
            given_ = datagram()
            balancer.read(given_)
            assert given_.destinations is not None
            chosen.append(given_.destinations[0].id)
        self.assertEqual(sorted(chosen), ["b1", "b1", "b2", "b2", "b3", "b3"])
        given_ = datagram()
        given_.destinations = BACKENDS[2:]
        balancer.read(given_)
        self.assertEqual(given_.destinations, (BACKENDS[2],))
        empty = datagram()
        empty.backends = ()
        self.assertEqual(balancer.read(empty), Drop.NO_BACKEND)

    def test_hash_keeps_a_client_on_its_backend(self) -> None:
        """By address and port."""
        balancer = build("kind = load_balancer\npolicy = HASH")
        seen = set()
        for _ in range(5):
            given_ = datagram()
            balancer.read(given_)
            assert given_.destinations is not None
            seen.add(given_.destinations[0].id)
        self.assertEqual(len(seen), 1)


class FirewallTests(SynchronousTestCase):
    """Rules."""

    RULES = """kind = firewall
on_read =
    deny 192.0.2.128/25
    allow 192.0.2.0/24 2001:db8::/32 ports 1024-65535
    allow any port 53
on_write = allow 10.0.0.0/8 ports 7
"""

    def test_the_first_matching_rule_decides_and_the_rest_is_denied(self) -> None:
        """Both ends of a range count; a v4-mapped address was written as IPv4 before it came here."""
        firewall = build(self.RULES)
        for source, allowed in (
            (("192.0.2.1", 1024), True),
            (("192.0.2.1", 65535), True),
            (("192.0.2.1", 1023), False),
            (("192.0.2.200", 2000), False),
            (("203.0.113.9", 53), True),
            (("203.0.113.9", 54), False),
            (("2001:db8::1", 4000), True),
            (("not an address", 53), False),
        ):
            self.assertEqual(firewall.read(datagram(source=source)), None if allowed else Drop.DENIED, source)
        self.assertIsNone(firewall.write(datagram(source=("10.1.2.3", 7))))
        self.assertEqual(firewall.write(datagram(source=("10.1.2.3", 8))), Drop.DENIED)

    def test_without_rules_nothing_is_read(self) -> None:
        """Default deny."""
        self.assertEqual(build("kind = firewall").read(datagram()), Drop.DENIED)

    def test_bad_rules_are_refused(self) -> None:
        """By line."""
        for rule in (
            "permit any",
            "allow 10.0.0.1/8",
            "allow any ports 5-1",
            "allow any ports 1-70000",
            "allow any ports",
        ):
            self.assertRaises(ValueError, build, f"kind = firewall\non_read = {rule}")


class RateLimitTests(SynchronousTestCase):
    """Token buckets."""

    def passed(self, filter_: Any, times: Sequence[float], source: str = "192.0.2.1", size: int = 10) -> int:
        """How many of the datagrams at these times pass."""
        count = 0
        for now in times:
            given_ = datagram(b"x" * size, (source, 1))
            given_.now = now
            count += filter_.read(given_) is None
        return count

    def test_the_rate_holds_over_time_without_doubling_at_window_ends(self) -> None:
        """10 a second: 10 at once, then one each 100 ms; a fixed window would let 20 pass around its end."""
        filter_ = build("kind = rate_limit\nmax_packets = 10")
        self.assertEqual(self.passed(filter_, [0.95] * 30), 10)
        self.assertEqual(self.passed(filter_, [1.05] * 30), 1)
        self.assertEqual(self.passed(filter_, [10.0] * 30), 10)

    def test_bytes_are_limited_too(self) -> None:
        """And a datagram larger than the bucket passes when the bucket is full."""
        filter_ = build("kind = rate_limit\nmax_bytes = 1000")
        self.assertEqual(self.passed(filter_, [0.0] * 20, size=300), 3)
        self.assertEqual(self.passed(filter_, [10.0] * 3, size=5000), 1)

    def test_networks_share_buckets_by_prefix(self) -> None:
        """IPv6 by /64 unless told otherwise."""
        filter_ = build("kind = rate_limit\nmax_packets = 1\nprefix_v4 = 24")
        self.assertEqual(self.passed(filter_, [0.0], "192.0.2.1"), 1)
        self.assertEqual(self.passed(filter_, [0.0], "192.0.2.2"), 0)
        self.assertEqual(self.passed(filter_, [0.0], "2001:db8::1"), 1)
        self.assertEqual(self.passed(filter_, [0.0], "2001:db8::ffff"), 0)

    def test_state_is_bounded(self) -> None:
        """A flood of addresses costs max_clients buckets."""
        filter_ = build("kind = rate_limit\nmax_packets = 1\nmax_clients = 100")
        for number in range(5000):
            self.passed(filter_, [0.0], f"10.{number // 250}.{number % 250}.1")
        self.assertEqual(len(filter_.buckets), 100)

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.floats(0, 3), min_size=1, max_size=80), st.integers(1, 8))
    def test_no_more_than_burst_plus_rate_passes_in_any_time(self, gaps: list[float], rate: int) -> None:
        """The definition of a token bucket."""
        filter_ = build(f"kind = rate_limit\nmax_packets = {rate}")
        now, times = 0.0, []
        for gap in gaps:
            now += gap
            times.append(now)
        self.assertLessEqual(self.passed(filter_, times), rate + rate * (times[-1] - times[0]) + 1e-6)


class PayloadTests(SynchronousTestCase):
    """Filters that rewrite."""

    def test_concatenate_adds_on_the_side_asked_for(self) -> None:
        """And drops what would not fit."""
        filter_ = build("kind = concatenate\non_read = append\non_write = prepend\nbytes = aGk=")
        read, write = datagram(b"x"), datagram(b"x")
        filter_.read(read)
        filter_.write(write)
        self.assertEqual((read.payload, write.payload), (b"xhi", b"hix"))
        self.assertEqual(filter_.read(datagram(b"x" * MAX_PAYLOAD)), Drop.TOO_LARGE)

    @settings(deadline=None, max_examples=60)
    @given(st.sampled_from(["snappy", "lz4"]), st.binary(max_size=3000))
    def test_compression_round_trips(self, mode: str, payload: bytes) -> None:
        """Both formats."""
        self.assertEqual(decompress(mode, compress(mode, payload)), payload)

    def test_a_bomb_is_dropped_before_it_is_unpacked(self) -> None:
        """A preamble that announces more than a datagram, in both formats; and sizes that are not what comes."""
        for mode, size in (("snappy", 1 << 31), ("lz4", 65508)):
            filter_ = build(f"kind = compress\nmode = {mode}\non_read = decompress")
            self.assertEqual(filter_.read(datagram(write_varint(size) + b"\0" * 50)), Drop.BAD_PAYLOAD)
        filter_ = build("kind = compress\nmode = lz4\non_read = decompress")
        lying = write_varint(60000) + compress("lz4", b"abc")[1:]
        self.assertEqual(filter_.read(datagram(lying)), Drop.BAD_PAYLOAD)
        self.assertEqual(read_varint(write_varint(65507), 3), (65507, 3))

    def test_timestamp_measures_ages_and_never_drops(self) -> None:
        """Eight bytes of seconds; the rest is ignored and counted."""
        filter_ = build("kind = timestamp\nmetadata_key = k")
        self.assertIsNone(filter_.read(datagram(k=struct.pack(">q", 998))))
        for value in (b"\0\0\0", "text", 7, [b"x"]):
            self.assertIsNone(filter_.read(datagram(k=value)))
        self.assertEqual((filter_.ages.count, filter_.ages.sum, filter_.ignored), (1, 2.0, 4))

    def test_debug_shows_payloads_harmlessly(self) -> None:
        """Escapes for a terminal stay escapes."""
        logged.clear()
        build("kind = debug\nid = here").read(datagram(b"\x1b[31m\n"))
        self.assertEqual(logged, ["here read ('192.0.2.1', 5000) 6 bytes: b'\\x1b[31m\\n'"])


class MatchTests(SynchronousTestCase):
    """Branches."""

    def test_the_branch_of_the_value_runs_on_its_side_and_else_the_fallthrough(self) -> None:
        """The write side sees what the read side captured; a side without branches passes."""
        filter_ = build("kind = match\nmetadata_key = k\non_read =\n    one pass\n    base64:/w== drop")
        self.assertIsNone(filter_.read(datagram(k=b"one")))
        self.assertEqual(filter_.read(datagram(k=b"\xff")), Drop.FILTERED)
        self.assertEqual(filter_.read(datagram(k=b"two")), Drop.FILTERED)
        self.assertEqual(filter_.read(datagram(k=["one"])), Drop.FILTERED)
        self.assertIsNone(filter_.write(datagram()))
        self.assertEqual((filter_.matched, filter_.fell_through), (2, 2))


class DecryptorTests(SynchronousTestCase):
    """Encrypted destinations."""

    NONCE = bytes(12)
    PLAIN = bytes([10, 0, 0, 2]) + struct.pack(">H", 7)

    def build(self, cipher: str) -> Any:
        """With the key above."""
        key = base64.b64encode(KEY).decode()
        return build(f"kind = decryptor\nkey = {key}\ncipher = {cipher}\ndata_key = d\nnonce_key = n")

    def test_both_ciphers_find_the_backend(self) -> None:
        """Quilkin's stream cipher, and the AEAD."""
        stream = Cipher(ChaCha20(KEY, bytes(4) + self.NONCE), mode=None).encryptor().update(self.PLAIN)
        for cipher, data in (
            ("chacha20", stream),
            ("chacha20_poly1305", ChaCha20Poly1305(KEY).encrypt(self.NONCE, self.PLAIN, None)),
        ):
            given_ = datagram(d=data, n=self.NONCE)
            self.assertIsNone(self.build(cipher).read(given_))
            self.assertEqual(given_.destinations, (BACKENDS[1],))

    def test_a_changed_ciphertext_is_noticed_or_leads_to_no_stranger(self) -> None:
        """The AEAD refuses it; with the stream cipher it still reaches no address but a backend's."""
        data = bytearray(ChaCha20Poly1305(KEY).encrypt(self.NONCE, self.PLAIN, None))
        data[0] ^= 1
        self.assertEqual(self.build("chacha20_poly1305").read(datagram(d=bytes(data), n=self.NONCE)), Drop.BAD_PAYLOAD)
        stream = bytearray(Cipher(ChaCha20(KEY, bytes(4) + self.NONCE), mode=None).encryptor().update(self.PLAIN))
        stream[0] ^= 1
        self.assertEqual(self.build("chacha20").read(datagram(d=bytes(stream), n=self.NONCE)), Drop.NO_MATCH)

    def test_wrong_lengths_and_types_are_dropped(self) -> None:
        """Nothing raises."""
        for metadata in ({}, {"d": b"", "n": b""}, {"d": b"x" * 6, "n": b"x" * 11}, {"d": 1, "n": 2}):
            given_ = datagram()
            given_.metadata = metadata
            self.assertEqual(self.build("chacha20_poly1305").read(given_), Drop.NO_TOKEN)
        self.assertRaises(ValueError, build, "kind = decryptor\nkey = YWJj")


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
        made = build("kind = python\nclass = tests.udp.test_filters:Upper\noptions = suffix=!")
        given_ = datagram(b"hi")
        made.read(given_)
        self.assertEqual(given_.payload, b"HI!")
        for name in ("no.such:Thing", "tests.udp.test_filters:Missing", "tests.udp.test_filters:KEY", "nonsense"):
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


class ChainTests(SynchronousTestCase):
    """Order, drops, crashes, counters."""

    def test_read_goes_forward_and_write_backward(self) -> None:
        """Like layers of an onion."""
        first = build("kind = concatenate\non_read = append\non_write = append\nbytes = MQ==")
        second = build("kind = concatenate\non_read = append\non_write = append\nbytes = Mg==")
        chain = FilterChain([("first", first), ("second", second)])
        read, write = datagram(b""), datagram(b"")
        chain.read(read)
        chain.write(write)
        self.assertEqual((read.payload, write.payload), (b"12", b"21"))

    def test_sides_that_do_nothing_are_left_out(self) -> None:
        """A chain of capture and router has no write side at all."""
        chain = FilterChain([("c", build("kind = capture\nsize = 1")), ("r", build("kind = token_router"))])
        self.assertEqual((chain.reads, chain.writes), (True, False))
        self.assertEqual((FilterChain([]).reads, FilterChain([("p", build("kind = pass"))]).reads), (False, False))

    def test_a_destination_chosen_before_a_drop_does_not_reach_the_next_datagram(self) -> None:
        """Quilkin's router, then firewall: a wrong token after a right one went through."""
        chain = FilterChain(
            [
                ("c", build("kind = capture\nsize = 3\nmetadata_key = k")),
                ("r", build("kind = token_router\nmetadata_key = k")),
                ("f", build("kind = firewall\non_read = deny any")),
            ]
        )
        self.assertEqual(chain.read(datagram(b"abc")), Drop.DENIED)
        self.assertEqual(chain.read(datagram(b"zzz")), Drop.NO_MATCH)

    def test_a_filter_that_raises_drops_and_is_told_of_once_a_minute(self) -> None:
        """Counted every time; also when the datagram is one of those that are timed."""
        told: list[str] = []

        class Broken(DatagramFilter):
            def read(self, datagram: Datagram) -> Drop | None:
                raise RuntimeError("bug")

        chain = FilterChain([("b", Broken())], None, lambda name, error: told.append(f"{name}: {error}"))
        for number in range(2 * SAMPLE):
            given_ = datagram()
            given_.now = number * LOG_EVERY_S / SAMPLE
            self.assertEqual(chain.read(given_), Drop.FILTER_ERROR)
        self.assertEqual((told, chain.counters["b", "read"].errors), (["b: bug"] * 2, 2 * SAMPLE))

    def test_an_answer_that_is_no_drop_is_an_error_of_the_filter(self) -> None:
        """A user's filter may return anything."""

        class Odd(DatagramFilter):
            def read(self, datagram: Datagram) -> Any:
                return True

        self.assertEqual(FilterChain([("o", Odd())]).read(datagram()), Drop.FILTER_ERROR)

    def test_counters_survive_a_new_chain(self) -> None:
        """Which is what a reload is; the sampled durations too."""
        chain = FilterChain([("p", build("kind = drop"))])
        for _ in range(SAMPLE):
            chain.read(datagram())
        again = FilterChain([("p", build("kind = drop"))], chain.counters)
        again.read(datagram())
        counters = again.counters["p", "read"]
        self.assertEqual((counters.seen, counters.dropped, counters.durations.count), (SAMPLE + 1, SAMPLE + 1, 1))


class SectionTests(SynchronousTestCase):
    """[filter NAME] in a file."""

    def test_problems_are_values(self) -> None:
        """The kind of section says what is wrong without raising."""
        from netappliance.filters.kind import FilterKind

        raws, _ = parse("[filter a]\nkind = captur\n[filter b]\nsize = 1\n")
        answers = [FilterKind().schema_for(raw) for raw in raws]
        self.assertTrue(all(isinstance(answer, ConfigProblem) for answer in answers))
