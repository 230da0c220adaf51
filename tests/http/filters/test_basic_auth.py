"""Basic authentication: who gets in, what it costs, and what limits guessing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.filters.basic_auth import MAX_CREDENTIALS, parsed
from netappliance.http.passwords import StoredPassword
from tests.http.filters.support import build, exchange

SHA = f"alice:{hashlib.sha256(b'secret').hexdigest()}"


def authorization(user: bytes, password: bytes, scheme: bytes = b"Basic") -> bytes:
    """The line."""
    return b"Authorization: %b %b" % (scheme, base64.b64encode(user + b":" + password))


def status(made: Any, *lines: bytes, **changed: Any) -> int:
    """0 for those who get in."""
    answer = made.request(exchange(b"/", *lines, **changed))
    return 0 if answer is None else int(answer.status)


class Counting:
    """Stands for a slow hash: matches ``secret``, counts its checks."""

    def __init__(self, cost_ms: float) -> None:
        self.checked: list[bytes] = []
        self.stored = StoredPassword("slow", cost_ms, self.matches)

    def matches(self, password: bytes) -> bool:
        """Count."""
        self.checked.append(password)
        return password == b"secret"


def slow(cost_ms: float, options: str = "") -> tuple[Any, Counting]:
    """A filter whose only user, alice, has a slow hash."""
    made = build(f"kind = basic_auth\nusers = {SHA}\n{options}")
    counting = Counting(cost_ms)
    made._users[b"alice"] = made._nobody = counting.stored
    return made, counting


class AuthTests(SynchronousTestCase):
    """Who gets in."""

    def test_the_right_password_alone_gets_in(self) -> None:
        """Everything else is 401 with a challenge."""
        made = build(f"kind = basic_auth\nusers = {SHA}\nrealm = Staff only")
        self.assertEqual(status(made, authorization(b"alice", b"secret")), 0)
        self.assertEqual(status(made, authorization(b"alice", b"secret", b"bAsIc")), 0)
        for lines in (
            (),
            (authorization(b"alice", b"Secret"),),
            (authorization(b"bob", b"secret"),),
            (authorization(b"alice", b"secret", b"Bearer"),),
            (authorization(b"alice", b"secret"), authorization(b"alice", b"secret")),
            (b"Authorization: Basic",),
            (b"Authorization: Basic !!!!",),
            (b"Authorization: Basic " + base64.b64encode(b"alice"),),
        ):
            answer = made.request(exchange(b"/", *lines))
            self.assertEqual((answer.status, answer.lines), (401, [made._challenge]))
        self.assertEqual(made._challenge, b'WWW-Authenticate: Basic realm="Staff only", charset="UTF-8"')
        figures = made.figures()
        self.assertEqual((figures["passed"], figures["missing"], figures["wrong"]), (2, 1, 7))

    def test_the_backend_sees_a_name_and_no_password(self) -> None:
        """A client cannot write the name itself."""
        made = build(f"kind = basic_auth\nusers = {SHA}\nuser_header = X-User")
        seen = exchange(b"/", b"A: b", b"x-user: root", b"X_User: root", authorization(b"alice", b"secret"))
        self.assertIsNone(made.request(seen))
        self.assertEqual(seen.request.lines, [b"A: b", b"X-User: alice"])
        self.assertEqual(seen.notes, {"user": "alice"})
        kept = build(f"kind = basic_auth\nusers = {SHA}\nstrip = no")
        seen = exchange(b"/", authorization(b"alice", b"secret"))
        self.assertIsNone(kept.request(seen))
        self.assertEqual(seen.request.lines, [authorization(b"alice", b"secret")])

    def test_users_come_from_the_section_and_from_a_file(self) -> None:
        """Comments and empty lines of the file count for nothing."""
        path = Path(self.mktemp())
        digest = hashlib.sha256("grün".encode()).hexdigest()
        path.write_text(f"# staff\n\nbob:{digest}\nzoë:{digest.upper()}\n")
        made = build(f"kind = basic_auth\nusers = {SHA}\nusers_file = {path}")
        for user, password in (("alice", "secret"), ("bob", "grün"), ("zoë", "grün")):
            self.assertEqual(status(made, authorization(user.encode(), password.encode())), 0)
        self.assertEqual(status(made, authorization(b"bob", b"secret")), 401)

    def test_a_file_without_users_lets_nobody_in(self) -> None:
        """Closed, not open."""
        path = Path(self.mktemp())
        path.write_text("# nobody yet\n")
        made = build(f"kind = basic_auth\nusers_file = {path}")
        self.assertEqual(status(made, authorization(b"alice", b"secret")), 401)

    def test_what_cannot_be_is_refused_and_no_hash_is_told(self) -> None:
        """The error says which user."""
        path = Path(self.mktemp())
        path.write_text(SHA + "\n")
        binary = Path(self.mktemp())
        binary.write_bytes(b"\xff\xfe")
        for options, word in (
            ("", "users"),
            ("users = alice:hunter2", "for user alice"),
            ("users = alice", "name:hash"),
            (f"users =\n {SHA}\n {SHA}", "alice once"),
            (f"users = {SHA}\nusers_file = {path}", "users_file"),
            ("users_file = /no/such/file", "No such file"),
            (f"users_file = {binary}", "UTF-8"),
            (f'users = {SHA}\nrealm = a"b', "realm"),
            (f"users = {SHA}\nuser_header = a b", "user_header"),
            (f"users = {SHA}\nuser_header = Content-Length", "user_header"),
            (f"users = {SHA}\nuser_header = cookie", "user_header"),
        ):
            error = str(self.assertRaises(ValueError, build, f"kind = basic_auth\n{options}"))
            self.assertIn(word, error)
            self.assertNotIn("hunter2", error)

    @given(st.binary(max_size=60))
    @settings(deadline=None, max_examples=200)
    def test_any_value_is_right_or_wrong(self, value: bytes) -> None:
        """Nothing raises, nothing but the right one gets in."""
        for given_ in (value, b"Basic " + value, b"Basic " + base64.b64encode(value)):
            got = parsed(given_)
            if got is not None:
                self.assertNotIn(b":", got[0])
            made = build(f"kind = basic_auth\nusers = {SHA}")
            self.assertEqual(status(made, b"Authorization: " + given_), 401)

    def test_a_long_value_is_wrong_unread(self) -> None:
        """A limit for what is decoded and hashed."""
        made, counting = slow(1.0)
        self.assertEqual(status(made, authorization(b"alice", b"s" * MAX_CREDENTIALS)), 401)
        self.assertEqual(counting.checked, [])


class CostTests(SynchronousTestCase):
    """How often a slow hash runs."""

    def test_a_credential_is_verified_once(self) -> None:
        """Then a digest is enough; the password itself is not kept."""
        made, counting = slow(50.0)
        for _ in range(10):
            self.assertEqual(status(made, authorization(b"alice", b"secret")), 0)
        self.assertEqual(counting.checked, [b"secret"])
        self.assertNotIn(b"secret", repr(made.verified).encode())

    def test_an_unknown_user_costs_the_same_check(self) -> None:
        """So that time does not tell who is there."""
        made, counting = slow(1.0)
        status(made, authorization(b"alice", b"wrong"))
        status(made, authorization(b"mallory", b"secret"))
        self.assertEqual(counting.checked, [b"wrong", b"secret"])
        self.assertEqual(made.figures()["wrong"], 2)

    def test_remembered_credentials_are_bounded(self) -> None:
        """The least recently used goes first."""
        made = build(f"kind = basic_auth\nusers = {SHA}\ncache_size = 2")
        for scheme in (b"Basic", b"BASIC", b"Basic", b"basic"):
            self.assertEqual(status(made, authorization(b"alice", b"secret", scheme)), 0)
        self.assertEqual((len(made.verified), made.figures()["checked"]), (2, 3))
        status(made, authorization(b"alice", b"secret", b"Basic"))
        self.assertEqual(made.figures()["checked"], 3)

    def test_the_time_for_hashes_is_limited_for_all_together(self) -> None:
        """Beyond it 503; who is known gets in all the same, and time brings more."""
        made, counting = slow(100.0, "hash_time = 100ms\nmax_failures = 0")
        self.assertEqual(status(made, authorization(b"alice", b"secret")), 0)
        # from many networks: the burst is 300 ms
        guesses = [status(made, authorization(b"alice", b"%d" % n), client=f"10.0.0.{n}") for n in range(5)]
        self.assertEqual(guesses, [401, 401, 503, 503, 503])
        self.assertEqual(status(made, authorization(b"alice", b"secret")), 0)
        self.assertEqual(status(made, authorization(b"alice", b"x"), now=100.9), 503)
        self.assertEqual(status(made, authorization(b"alice", b"x"), now=101.1), 401)
        self.assertEqual((len(counting.checked), made.figures()["busy"]), (4, 4))

    def test_the_most_expensive_hash_allowed_can_be_afforded(self) -> None:
        """However little time a second has for it."""
        made, _ = slow(300.0, "hash_time = 1ms")
        self.assertEqual(status(made, authorization(b"alice", b"secret")), 0)

    def test_guessing_is_limited_for_each_network(self) -> None:
        """429 with Retry-After; other networks and known credentials are not concerned."""
        made, counting = slow(0.0, "max_failures = 3")
        self.assertEqual(status(made, authorization(b"alice", b"secret")), 0)
        guesses = [status(made, authorization(b"alice", b"%d" % n)) for n in range(5)]
        self.assertEqual(guesses, [401, 401, 401, 429, 429])
        self.assertEqual(status(made, authorization(b"alice", b"secret")), 0)
        self.assertEqual(status(made, authorization(b"alice", b"x"), client="192.0.2.2"), 401)
        answer = made.request(exchange(b"/", authorization(b"alice", b"x")))
        self.assertEqual(answer.lines, [b"Retry-After: 20"])
        self.assertEqual(status(made, authorization(b"alice", b"y"), now=121.0), 401)
        self.assertEqual((len(counting.checked), made.figures()["throttled"]), (6, 3))

    def test_networks_that_failed_are_counted_in_a_bounded_table(self) -> None:
        """Like those of the rate limit."""
        made, _ = slow(0.0, "max_clients = 5")
        for number in range(50):
            status(made, authorization(b"alice", b"x"), client=f"10.0.0.{number}")
        self.assertEqual(len(made._failures.buckets), 5)
