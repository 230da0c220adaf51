"""ClientHellos: what is read, what is refused, and that no byte sequence does anything else."""

from __future__ import annotations

import random
import ssl

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls import client_hello
from netappliance.tls.client_hello import MAX_BYTES, ClientHello, HelloReader, HelloRefusal, parse
from netappliance.tls.ja4 import is_grease
from tests.tls import hellos
from tests.tls.captures import CAPTURES

labels = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=63)
host_names = (
    st.lists(labels, min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda name: len(name) <= 253 and not name[-1].isdigit())
    .map(str.encode)
)
numbers = st.lists(st.integers(0, 65535), max_size=20)
protocols = st.lists(st.binary(min_size=1, max_size=255), max_size=4)
#: types that the tests do not give a meaning to
strangers = st.lists(
    st.tuples(st.integers(44, 65535), st.binary(max_size=40)), unique_by=lambda pair: pair[0], max_size=4
)


def said(data: bytes) -> ClientHello:
    """Read a hello that is one."""
    found = parse(data)
    assert isinstance(found, ClientHello), found
    return found


def refused(data: bytes) -> str:
    """Return why it is none."""
    found = parse(data)
    assert isinstance(found, HelloRefusal), found
    return found.reason


def verdict(found: ClientHello | HelloRefusal | None) -> object:
    """Return what a verdict says, to be compared."""
    if isinstance(found, ClientHello):
        return (found.server_name, found.alpn, found.extensions, found.ja4())
    return found


class ReadTests(SynchronousTestCase):
    """What is said comes out."""

    @settings(deadline=None)
    @given(
        st.none() | host_names,
        protocols,
        numbers.filter(bool),
        st.lists(st.integers(0, 65535), min_size=1, max_size=9),
        numbers,
        strangers,
        st.lists(st.integers(1, 400), max_size=30),
        st.randoms(use_true_random=False),
    )
    def test_round_trip(
        self,
        name: bytes | None,
        offered: list[bytes],
        suites: list[int],
        versions: list[int],
        groups: list[int],
        others: list[tuple[int, bytes]],
        cuts: list[int],
        shuffler: random.Random,
    ) -> None:
        """Whatever is in it, in any order, in any records."""
        parts = [(43, hellos.versions(*versions)), (10, hellos.listed(10, groups)), (13, hellos.listed(13, suites))]
        parts += [(kind, hellos.extension(kind, data)) for kind, data in others]
        if name is not None:
            parts.append((0, hellos.server_name(name)))
        if offered:
            parts.append((16, hellos.alpn(*offered)))
        shuffler.shuffle(parts)
        content = hellos.message(hellos.body(*(part for _, part in parts), suites=suites, legacy_version=0x0301))
        hello = said(hellos.records(content, cuts) + b"what follows")
        self.assertEqual(hello.server_name, (name or b"").lower())
        self.assertEqual(hello.alpn, tuple(offered))
        self.assertEqual(hello.legacy_version, 0x0301)
        self.assertEqual(hello.cipher_suites, tuple(suites))
        self.assertEqual(hello.signature_algorithms, tuple(suites))
        self.assertEqual(hello.versions, tuple(versions))
        self.assertEqual(hello.groups, tuple(groups))
        self.assertEqual(hello.extensions, tuple(kind for kind, _ in parts))

    def test_a_hello_without_extensions(self) -> None:
        """As TLS 1.2 allows; with an empty list of them too."""
        whole = hellos.body()
        for content in (whole, whole[:-2]):
            hello = said(hellos.record(hellos.message(content)))
            self.assertEqual((hello.server_name, hello.alpn, hello.extensions, hello.versions), (b"", (), (), ()))
            self.assertEqual(hello.ja4(), "t12i150000_8daaf6152771_000000000000")

    def test_the_fingerprint_of_chrome(self) -> None:
        """The example of JA4.md, in bytes."""
        hello = said(
            hellos.hello(
                hellos.extension(0x2A2A),
                hellos.extension(0x1B, b"\2\0\2"),
                hellos.server_name(b"example.org"),
                hellos.extension(0x33, b"\0\0"),
                hellos.alpn(b"h2", b"http/1.1"),
                hellos.extension(0x4469),
                hellos.extension(0x17),
                hellos.extension(0x2D, b"\1\1"),
                hellos.listed(13, hellos.CHROME_ALGORITHMS),
                hellos.extension(5, b"\1\0\0\0\0"),
                hellos.extension(0x23),
                hellos.extension(0x12),
                hellos.versions(0x7A7A, 0x0304, 0x0303),
                hellos.extension(0xFF01, b"\0"),
                hellos.extension(11, b"\1\0"),
                hellos.listed(10, (0x1A1A, 29, 23, 24)),
                hellos.extension(0x15, b"\0" * 64),
            )
        )
        self.assertEqual(hello.ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1")

    def test_programs_are_understood(self) -> None:
        """As they were captured; their fingerprints are known."""
        for capture in CAPTURES:
            data = bytes.fromhex(capture.data)
            hello = said(data)
            self.assertEqual(hello.ja4(), capture.ja4, capture.program)
            self.assertEqual((hello.server_name, hello.alpn), (capture.server_name, capture.alpn))
            self.assertEqual(said(hellos.records(data[5:], range(1, 2000, 100))).ja4(), capture.ja4)
        chromium = said(bytes.fromhex(CAPTURES[-1].data))
        self.assertIn(0x11EC, chromium.groups)
        self.assertEqual([version for version in chromium.versions if not is_grease(version)], [0x0304, 0x0303])

    def test_lists_that_are_malformed_are_empty(self) -> None:
        """Those that nothing here depends on."""
        hello = said(
            hellos.hello(
                hellos.extension(43, b"\5\3\4"), hellos.extension(10, b"\0"), hellos.extension(13, b"\0\1\4\3")
            )
        )
        self.assertEqual((hello.versions, hello.groups, hello.signature_algorithms), ((), (), ()))
        self.assertEqual(said(hellos.hello(hellos.extension(43), hellos.extension(13))).versions, ())

    def test_half_a_number_is_none(self) -> None:
        """At the end of a list, which here is the end of all."""
        self.assertEqual(said(hellos.hello(hellos.extension(43, b"\3\3\4\3"))).versions, (0x0304,))
        self.assertEqual(said(hellos.hello(hellos.extension(10, b"\0\3\0\x1d\0"))).groups, (29,))

    def test_the_standard_library_is_understood(self) -> None:
        """With its name, its protocols, and its versions."""
        hello = said(hellos.said_by_ssl("Www.Example.org", ["h2", "http/1.1"]))
        self.assertEqual((hello.server_name, hello.alpn), (b"www.example.org", (b"h2", b"http/1.1")))
        self.assertIn(0x0304, hello.versions)
        self.assertRegex(hello.ja4(), r"\At13d[0-9]{4}h2_[0-9a-f]{12}_[0-9a-f]{12}\Z")
        older = said(hellos.said_by_ssl(None, newest=ssl.TLSVersion.TLSv1_2))
        self.assertEqual((older.server_name, older.alpn, older.legacy_version), (b"", (), 0x0303))
        self.assertRegex(older.ja4(), r"\At12i[0-9]{4}00_")


class CutTests(SynchronousTestCase):
    """The verdict depends on the bytes alone."""

    def test_one_byte_in_each_record(self) -> None:
        """Clients that hide from middleboxes do so."""
        content = hellos.message(hellos.body(hellos.server_name(b"hidden.example")))
        data = hellos.records(content, range(1, len(content)))
        self.assertEqual(said(data).server_name, b"hidden.example")

    def test_no_prefix_of_a_hello_is_one(self) -> None:
        """Nor is it refused: more bytes are needed."""
        content = hellos.message(hellos.body(hellos.server_name(b"a.example"), hellos.alpn(b"h2")))
        for data in (hellos.record(content), hellos.records(content, (1, 3, 4, 40, 41, 100))):
            reader = HelloReader()
            for size in range(len(data)):
                self.assertIsNone(parse(data[:size]), size)
                self.assertIsNone(reader.judge(data[:size]), size)
            self.assertIsInstance(reader.judge(data), ClientHello)

    @settings(deadline=None, max_examples=300)
    @given(st.data())
    def test_a_reader_says_what_one_look_says(self, data: st.DataObject) -> None:
        """However the bytes came, whatever they are."""
        base = hellos.message(
            hellos.body(hellos.server_name(b"a.example"), hellos.alpn(b"h2", b"x"), hellos.versions(0x304))
        )
        stream = bytearray(
            hellos.records(base, data.draw(st.lists(st.integers(1, len(base)), max_size=8))) + b"\x17\3\3"
        )
        for position, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(stream) - 1), st.integers(0, 255)), max_size=2)
        ):
            stream[position] = value
        whole = bytes(stream)
        reader = HelloReader()
        found = None
        for size in sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)) | {len(whole)}):
            found = reader.judge(whole[:size])
            if found is not None:
                break
        self.assertEqual(verdict(found), verdict(parse(whole)))


class RefusalTests(SynchronousTestCase):
    """Each with its reason."""

    def test_reasons_are_a_closed_set_of_words(self) -> None:
        """No two refusals have one word."""
        reasons = [refusal.reason for refusal in client_hello.REFUSALS]
        self.assertEqual(len(set(reasons)), len(reasons))
        found = {value for value in vars(client_hello).values() if isinstance(value, HelloRefusal)}
        self.assertEqual(found, set(client_hello.REFUSALS))
        for refusal in client_hello.REFUSALS:
            self.assertRegex(refusal.reason, r"\A[a-z][a-z0-9_]+\Z")
            self.assertTrue(refusal.text)

    def test_those_who_speak_tls_are_told_by_an_alert(self) -> None:
        """Fatal; the others could not read it."""
        without = {refusal.reason for refusal in client_hello.REFUSALS if not refusal.alert}
        self.assertEqual(without, {"not_tls", "plain_http"})
        for refusal in client_hello.REFUSALS:
            if refusal.alert:
                self.assertEqual((refusal.alert[:6], len(refusal.alert)), (b"\x15\3\3\0\2\2", 7))

    def test_what_is_not_tls(self) -> None:
        """HTTP is told apart, because its clients can be told."""
        for data, reason in (
            (b"GET / HTTP/1.1\r\n", "plain_http"),
            (b"PRI * HTTP/2.0\r\n", "plain_http"),
            (b"PROPFIND ", "plain_http"),
            (b"GETTER", "not_tls"),
            (b"get / HTTP/1.1\r\n", "not_tls"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "not_tls"),
            (b"\0\0\0\0", "not_tls"),
            (b"\x80\x2e\x01\x00\x02\x00\x15", "sslv2"),
            (b"\x80\x2e\x02", "not_tls"),
            (b"\xff\xfe\xfd", "not_tls"),
            (hellos.record(b"\1\0", kind=21), "record_type"),
            (b"\x14", "record_type"),
            (b"\x18", "record_type"),
            (b"\x13", "not_tls"),
            (b"\x19", "not_tls"),
            (b"\x16\2", "record_version"),
            (b"\x16\3\1\x40\x01", "record_too_large"),
            (b"\x16\3\1\0\0", "empty_record"),
            (hellos.record(b"\2"), "not_client_hello"),
        ):
            self.assertEqual(refused(data), reason, data)

    def test_methods_are_whole_words(self) -> None:
        """Other protocols have words that begin like them."""
        for method in (
            "GET",
            "HEAD",
            "POST",
            "PUT",
            "DELETE",
            "OPTIONS",
            "PATCH",
            "CONNECT",
            "TRACE",
            "PRI",
            "PROPFIND",
        ):
            word = method.encode()
            self.assertIsNone(parse(word))
            self.assertEqual(refused(word + b" "), "plain_http")
            self.assertEqual(refused(word + b"X"), "not_tls")

    def test_what_may_become_something_is_waited_for(self) -> None:
        """As long as it may."""
        for data in (b"", b"G", b"PROP", b"\x80", b"\x80\x2e", b"\x16", b"\x16\3", b"\x16\3\1\x40", b"\x16\3\1\x40\0"):
            self.assertIsNone(parse(data), data)

    def test_records_between(self) -> None:
        """A handshake in several records has nothing else among them, and nothing behind it in the last."""
        content = hellos.message(hellos.body())
        first = hellos.record(content[:50])
        self.assertEqual(refused(first + hellos.record(b"\1", kind=20)), "record_type")
        self.assertEqual(refused(first + hellos.record(b"")), "empty_record")
        self.assertEqual(refused(first + b"\x16\3\1\xff\xff"), "record_too_large")
        self.assertEqual(refused(first + b"\x16\2"), "record_version")
        self.assertEqual(refused(hellos.record(content + b"\0")), "trailing_data")
        self.assertEqual(refused(first + hellos.record(content[50:] + b"\0")), "trailing_data")
        self.assertEqual(refused(first + hellos.record(content[50:] + b"\0")[:6]), "trailing_data")

    def test_size(self) -> None:
        """Of the hello with its records' headers; it is refused as soon as it says so."""
        self.assertEqual(MAX_BYTES, 16384)
        for size, expected in ((MAX_BYTES, ClientHello), (MAX_BYTES + 1, HelloRefusal)):
            padding = size - len(hellos.hello(hellos.extension(21)))
            data = hellos.hello(hellos.extension(21, bytes(padding)))
            self.assertEqual(len(data), size)
            self.assertIsInstance(parse(data), expected)
        self.assertEqual(refused(data), "too_large")
        self.assertEqual(refused(data[:9]), "too_large")
        self.assertIsNone(parse(data[:8]))
        self.assertEqual(refused(b"\x16\3\1\0\4\1\xff\xff\xff"), "too_large")

    def test_size_of_a_hello_in_several_records(self) -> None:
        """The headers of all of them count, and only these."""
        for records in (2, 3):
            for size, expected in ((MAX_BYTES, ClientHello), (MAX_BYTES + 1, HelloRefusal)):
                padding = size - len(hellos.hello(hellos.extension(21))) - 5 * (records - 1)
                content = hellos.message(hellos.body(hellos.extension(21, bytes(padding))))
                data = hellos.records(content, (6000, 12000)[: records - 1])
                self.assertEqual(len(data), size)
                self.assertIsInstance(parse(data), expected)

    def test_records_of_one_byte_are_bounded_by_all_their_bytes(self) -> None:
        """Their headers count."""
        content = hellos.message(hellos.body(hellos.extension(21, bytes(3000))))
        data = hellos.records(content, range(1, len(content)))
        self.assertGreater(len(data), MAX_BYTES)
        self.assertEqual(refused(data), "too_large")
        self.assertEqual(refused(data[:MAX_BYTES]), "too_large")
        reader = HelloReader()
        first = next(size for size in range(len(data)) if reader.judge(data[:size]) is not None)
        self.assertLessEqual(first, MAX_BYTES)

    def test_lengths_that_do_not_fit(self) -> None:
        """Of every vector, too long and too short."""
        whole = hellos.body(hellos.extension(23))
        suites = 2 + 32 + 1 + 32
        for content in (
            b"",
            whole[:34],
            hellos.body(session_id=b"\0" * 33),
            whole[: suites + 1],
            whole[:suites] + b"\0\0" + whole[suites + 2 :],
            whole[:suites] + b"\0\3" + whole[suites + 2 :],
            whole[:suites] + b"\xff\xfe" + whole[suites + 2 :],
            hellos.body(suites=()),
            hellos.body(compressions=b""),
            whole[: suites + 2 + 30],
            whole[: suites + 2 + 30] + b"\2\0",
            whole[: suites + 2 + 30] + b"\1\0\0",
            whole[:-1],
            whole + b"\0",
            hellos.body(b"\0\x17\0"),
            hellos.body(b"\0\x17\0\1"),
            hellos.body(hellos.extension(23), b"\0"),
        ):
            self.assertEqual(refused(hellos.record(hellos.message(content))), "malformed", content)

    def test_an_extension_comes_once(self) -> None:
        """RFC 8446 section 4.2."""
        twice = hellos.hello(hellos.server_name(b"a"), hellos.extension(23), hellos.server_name(b"a"))
        self.assertEqual(refused(twice), "duplicate_extension")

    def test_protocols_that_are_none(self) -> None:
        """RFC 7301 section 3.1."""
        for data in (b"", b"\0\0", b"\0\1\0", b"\0\2\2h", b"\0\3\1h\0", b"\0\4\1h\1", b"\0\4\2h2", b"\0\2\2h2"):
            self.assertEqual(refused(hellos.hello(hellos.extension(16, data))), "bad_alpn", data)


class ServerNameTests(SynchronousTestCase):
    """One name, or none."""

    def test_names_are_lower_case_without_the_root(self) -> None:
        """And are as long as DNS allows."""
        long = b".".join((b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61))
        for name, expected in (
            (b"A.Example", b"a.example"),
            (b"a.example.", b"a.example"),
            (b"xn--bcher-kva.example", b"xn--bcher-kva.example"),
            (b"_a_.b-c", b"_a_.b-c"),
            (b"localhost", b"localhost"),
            (b"1.2.3.4.example", b"1.2.3.4.example"),
            (b"host.7", b"host.7"),
            (long, long),
            (long + b".", long),
        ):
            self.assertEqual(said(hellos.hello(hellos.server_name(name))).server_name, expected)

    def test_addresses_are_no_names(self) -> None:
        """RFC 6066: "Literal IPv4 and IPv6 addresses are not permitted in HostName"."""
        for name in (b"192.0.2.7", b"192.0.2.7.", b"2001:db8::1", b"::"):
            hello = said(hellos.hello(hellos.server_name(name)))
            self.assertEqual(hello.server_name, b"")
            self.assertEqual(hello.ja4()[3], "d")

    def test_what_is_no_name(self) -> None:
        """Malformed lists, several names, and bytes that no name has."""
        for name in (
            b"a\0b",
            b"a b",
            b"a/b",
            b"\xc3\xa9.example",
            b".",
            b".a",
            b"a..b",
            b"a..",
            b"*.a",
            b"[::1]",
            b"a:1",
        ):
            self.assertEqual(refused(hellos.hello(hellos.server_name(name))), "bad_server_name", name)
        label = b"a" * 63
        for name in (b"a" * 64, b".".join((label, label, label, b"d" * 62)), b"a." * 200):
            self.assertEqual(refused(hellos.hello(hellos.server_name(name))), "bad_server_name", name)
        for part in (
            hellos.server_name(),
            hellos.server_name(b""),
            hellos.server_name(b"a", b"b"),
            hellos.server_name(b"a", kind=1),
            *(
                hellos.extension(0, data)
                for data in (b"", b"\0", b"\0\0", b"\0\4\0\0\2a", b"\0\4\0\0\0a", b"\0\5\0\0\1a")
            ),
        ):
            self.assertEqual(refused(hellos.hello(part)), "bad_server_name", part)


class MutationTests(SynchronousTestCase):
    """No bytes do anything but what is said here."""

    def test_twenty_thousand_broken_hellos(self) -> None:
        """Each is read, refused, or waited for, and nothing raises."""
        draw = random.Random(8446)
        content = hellos.message(
            hellos.body(
                hellos.server_name(b"www.example.org"),
                hellos.alpn(b"h2", b"http/1.1"),
                hellos.versions(0x0304, 0x0303),
                hellos.listed(10, (29, 23)),
                hellos.listed(13, hellos.CHROME_ALGORITHMS),
            )
        )
        bases = (hellos.record(content), hellos.records(content, (1, 30, 90)), hellos.said_by_ssl("a.example", ["h2"]))
        seen: dict[str, int] = {}
        for _ in range(20_000):
            data = hellos.mutated(draw.choice(bases), draw)
            found = parse(data)
            word = "none" if found is None else "hello" if isinstance(found, ClientHello) else found.reason
            if isinstance(found, ClientHello):
                self.assertEqual(len(found.ja4()), 36)
                self.assertIsInstance(found.groups, tuple)
            elif found is not None:
                self.assertIn(found, client_hello.REFUSALS)
            seen[word] = seen.get(word, 0) + 1
        for word in ("none", "hello", "malformed", "bad_server_name", "record_version", "trailing_data", "bad_alpn"):
            self.assertGreater(seen.get(word, 0), 20, seen)
