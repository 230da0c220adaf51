"""The files of the store, and what is judged in them."""

from __future__ import annotations

import stat
import tempfile
from datetime import timedelta
from pathlib import Path
from shutil import rmtree

from twisted.trial.unittest import SynchronousTestCase

from netappliance.acme.pem import issued_pem, make_key, make_placeholder, make_request, read_pem
from netappliance.acme.store import MAX_FILE, Store, StoreError
from netappliance.errors import StartError
from tests.certificates import Authority, self_signed

NOW = 1_795_000_000.0


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


class StoreCase(SynchronousTestCase):
    """A store in a folder of its own."""

    def setUp(self) -> None:
        """Make it."""
        folder = Path(tempfile.mkdtemp(prefix="acme"))
        self.addCleanup(rmtree, folder)
        self.store = Store(str(folder / "deep" / "acme"))
        self.path = self.store.path


class DirectoryTests(StoreCase):
    """What the start does."""

    def test_it_is_made_for_its_owner_alone(self) -> None:
        """With what is above it."""
        self.store.prepare()
        self.assertEqual(mode(self.path), 0o700)
        self.store.prepare()

    def test_the_start_makes_nothing(self) -> None:
        """It may run with other rights than what follows."""
        self.store.check()
        self.assertFalse(self.path.exists())
        self.store.prepare()
        self.store.check()

    def test_one_that_others_may_look_into_is_refused(self) -> None:
        """With its mode; at the start and at every order."""
        self.path.mkdir(parents=True)
        self.path.chmod(0o750)
        error = self.assertRaises(StartError, self.store.check)
        self.assertIn("is open to others (mode 0750; expected 0700)", str(error))
        self.assertEqual(str(self.assertRaises(StoreError, self.store.prepare)), str(error))

    def test_a_file_in_its_place_is_refused(self) -> None:
        """In a line."""
        self.path.parent.mkdir()
        self.path.touch()
        error = self.assertRaises(StartError, self.store.check)
        self.assertRegex(str(error), r"^\[acme\] store: cannot use /.*: Not a directory$")

    def test_a_file_above_it_is_refused(self) -> None:
        """So that it cannot be made."""
        self.path.parent.touch()
        self.assertRaises(StartError, self.store.check)
        self.assertRaises(StoreError, self.store.prepare)


class FileTests(StoreCase):
    """Written whole, read with care."""

    def setUp(self) -> None:
        """Begin with an empty one."""
        super().setUp()
        self.store.prepare()

    def test_what_was_written_is_read(self) -> None:
        """Certificate, account and attempts, each 0600, and nothing is left beside them."""
        credentials = Authority().leaf("a.example", "b.example")
        self.store.write_certificate("a.example", credentials.pem)
        held = self.store.read_certificate("a.example")
        assert held is not None
        self.assertTrue(held.covers(("b.example", "a.example")))
        self.assertFalse(held.covers(("a.example",)))
        self.store.write_account("https://ca.example/", {"uri": "u", "key": {"kty": "EC"}})
        self.assertEqual(self.store.read_account("https://ca.example/"), {
            "directory": "https://ca.example/", "uri": "u", "key": {"kty": "EC"},
        })  # fmt: skip
        self.assertIsNone(self.store.read_account("https://other.example/"))
        self.store.write_state({"a.example": {"failures": 1}})
        self.assertEqual(self.store.read_state(), {"a.example": {"failures": 1}})
        files = sorted(self.path.iterdir())
        self.assertEqual([mode(path) for path in files], [0o600] * 3)
        self.assertEqual([path.name.partition("-")[0] for path in files], ["a.example.pem", "account", "state.json"])

    def test_a_replacement_is_another_file(self) -> None:
        """Who has the old one open reads it to its end; a half-written one of a crash does not matter."""
        authority = Authority()
        self.store.write_certificate("a", authority.leaf("a").pem)
        before = self.store.certificate_path("a").stat().st_ino
        (self.path / "a.pem.new").write_bytes(b"half")
        self.store.write_certificate("a", authority.leaf("a").pem)
        self.assertNotEqual(self.store.certificate_path("a").stat().st_ino, before)
        self.assertEqual([path.name for path in self.path.iterdir()], ["a.pem"])

    def test_a_write_that_fails_leaves_the_old_one(self) -> None:
        """And nothing beside it."""
        pem = Authority().leaf("a").pem
        self.store.write_certificate("a", pem)
        (self.path / "a.pem.new").mkdir()
        self.assertRaises(OSError, self.store.write_certificate, "a", b"new")
        self.assertEqual(self.store.certificate_path("a").read_bytes(), pem)

    def test_what_is_no_certificate_is_told(self) -> None:
        """Absent is none; garbage, another's key, no names, too much are errors."""
        self.assertIsNone(self.store.read_certificate("a"))
        one, other = Authority().leaf("a"), Authority().leaf("a")
        bad = {
            b"": "no chain with names and a key",
            one.chain_pem: "no chain with names and a key",
            one.chain_pem + other.key_pem: "the key is not the certificate's",
            Authority().leaf().pem: "no chain with names and a key",
            b"x" * (MAX_FILE + 1): "more than 1048576 bytes",
        }
        for data, why in bad.items():
            self.store.certificate_path("a").write_bytes(data)
            error = self.assertRaises(ValueError, self.store.read_certificate, "a")
            self.assertIn(why, str(error))
        self.store.certificate_path("a").unlink()
        self.store.certificate_path("a").mkdir()
        self.assertRaises(ValueError, self.store.read_certificate, "a")

    def test_an_account_that_is_none_is_not_replaced(self) -> None:
        """It may be worth something: the operator decides."""
        self.store.write_account("d", {"uri": "u", "key": {}})
        (path,) = self.path.iterdir()
        for data in (b"", b"[]", b'{"uri": 1}', b"\xff"):
            path.write_bytes(data)
            error = self.assertRaises(StoreError, self.store.read_account, "d")
            self.assertIn(f"{path} is no account", str(error))

    def test_attempts_that_cannot_be_read_are_none(self) -> None:
        """They are not worth a start."""
        self.assertEqual(self.store.read_state(), {})
        for data in (b"", b"[1]", b"\xff"):
            (self.path / "state.json").write_bytes(data)
            self.assertEqual(self.store.read_state(), {})


class PemTests(SynchronousTestCase):
    """Keys, requests, placeholders, and what an authority sends."""

    def test_a_placeholder_is_known_as_one(self) -> None:
        """It has the names, and covers none."""
        held = read_pem(make_placeholder(("a.example", "b.example"), NOW))
        self.assertEqual((held.names, held.placeholder), (frozenset(("a.example", "b.example")), True))
        self.assertFalse(held.covers(("a.example", "b.example")))
        self.assertTrue(held.not_before < NOW < held.not_after)

    def test_one_that_somebody_else_signed_himself_is_none(self) -> None:
        """An operator's own."""
        self.assertFalse(read_pem(self_signed("a.example").pem).placeholder)

    def test_keys_are_of_the_type_asked_for(self) -> None:
        """And sign requests."""
        self.assertIn(b"CERTIFICATE REQUEST", make_request(make_key("ecdsa"), ["a.example"]))
        self.assertGreater(len(make_key("rsa")), 4 * len(make_key("ecdsa")))

    def test_what_was_issued_is_looked_at(self) -> None:
        """Names, key and life; the chain stays as it came."""
        middle = Authority("middle", issuer=Authority())
        good = middle.leaf("a.example")
        now = good.certificate.not_valid_after_utc.timestamp() - 10
        data, held = issued_pem(good.chain_pem.decode(), good.key_pem, ["a.example"], now)
        self.assertEqual(data.count(b"BEGIN CERTIFICATE"), 2)
        self.assertEqual(read_pem(data), held)
        for chain, names, later, why in (
            (good.chain_pem, ["b.example"], 0, "the certificate's names are a.example"),
            (middle.leaf("a.example").chain_pem, ["a.example"], 0, "the key is not the certificate's"),
            (good.chain_pem, ["a.example"], 20, "has expired already"),
            (b"", ["a.example"], 0, "no chain with names and a key"),
        ):
            error = self.assertRaises(ValueError, issued_pem, chain.decode(), good.key_pem, names, now + later)
            self.assertIn(why, str(error))

    def test_an_expired_one_is_read(self) -> None:
        """For what is in the store is served until there is a better one."""
        held = read_pem(Authority().leaf("a", starts=timedelta(days=-9), ends=timedelta(days=-1)).pem)
        self.assertLess(held.not_after, held.not_before + 9 * 86400)
