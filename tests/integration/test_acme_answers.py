"""What an ACME authority may answer, by a server of the test's own: every answer is an order or a clear failure."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import rmtree
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.acme.authority import AuthorityError, Challenge, Order
from netappliance.acme.library import MAX_ANSWER, LibraryAuthority
from netappliance.acme.pem import make_key, make_request
from netappliance.acme.section import AcmeSection
from netappliance.acme.store import Store, StoreError
from tests.certificates import Authority
from tests.integration.support import free_ports

#: (status, headers, body)
Answer = tuple[int, dict[str, str], bytes]
TOKEN = "DGyRejmCefe7v4NfDGDKfA"


def made(body: Any, status: int = 200, **headers: str) -> Answer:
    """JSON."""
    kind = "application/json" if status < 400 else "application/problem+json"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": kind, **named}, json.dumps(body).encode()


def problem(kind: str, status: int = 403, **headers: str) -> Answer:
    """An error of RFC 8555 section 6.7."""
    return made({"type": f"urn:ietf:params:acme:error:{kind}", "detail": "because"}, status, **headers)


class FakeDirectory:
    """
    An authority that says what it is told to say.

    :ivar answers: path -> answer, instead of the good one. :ivar requests: paths that were asked for.
    """

    def __init__(self, folder: Path) -> None:
        root = Authority()
        self.ca = root.write(folder / "ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(root.leaf("127.0.0.1").write(folder / "own.pem"))
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20.0

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fake.requests.append(self.path)
                status, headers, body = fake.answer(self.path)
                self.send_response(status)
                for name, value in {"Replay-Nonce": "bm9uY2U", "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    # a client that has read enough has gone
                    with contextlib.suppress(OSError):
                        self.wfile.write(body)

            do_GET = do_HEAD = do_POST = answer

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self.requests: list[str] = []
        self.answers: dict[str, Answer | Callable[[], Answer]] = {}
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, path: str) -> Answer:
        """Return what is told, or what a good authority says of an order for a.example."""
        told = self.answers.get(path)
        if told is not None:
            return told() if callable(told) else told
        return made(*self.good(path))

    def good(self, path: str) -> Any:
        """Return body and status."""
        paths = {"newNonce": "/nonce", "newAccount": "/account", "newOrder": "/orders"}
        order = {
            "status": "pending",
            "identifiers": [{"type": "dns", "value": "a.example"}],
            "authorizations": [f"{self.url}/authorization"],
            "finalize": f"{self.url}/finalize",
        }
        pages: dict[str, Any] = {
            "/": {name: self.url + path for name, path in paths.items()},
            "/nonce": {},
            "/account": {"status": "valid"},
            "/orders": order,
            "/authorization": self.authorization(),
        }
        return (pages[path],) if path in pages else ({"type": "about:blank", "detail": "no such page"}, 404)

    def authorization(self, **changes: Any) -> dict[str, Any]:
        """One of a.example."""
        challenges = [
            {"type": kind, "url": f"{self.url}/{kind}", "token": TOKEN, "status": "pending"}
            for kind in ("dns-01", "tls-alpn-01", "http-01", "of-tomorrow-01")
        ]
        name = {"type": "dns", "value": "a.example"}
        return {"status": "pending", "identifier": name, "challenges": challenges, **changes}

    def close(self) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class AnswerCase(SynchronousTestCase):
    """An account at a fake authority."""

    def setUp(self) -> None:
        """Begin with an empty store."""
        folder = Path(tempfile.mkdtemp(prefix="acme"))
        self.addCleanup(rmtree, folder)
        self.fake = FakeDirectory(folder)
        self.addCleanup(self.fake.close)
        self.store = Store(str(folder / "store"))
        self.store.prepare()

    def order(self, **settings: Any) -> Order:
        """Order a certificate for a.example."""
        self.authority = self.connect(**settings)
        order = self.authority.order(["a.example"], make_request(make_key("ecdsa"), ["a.example"]))
        self.addCleanup(order.under_way[0].net.session.close)
        return order

    def connect(self, **settings: Any) -> LibraryAuthority:
        """An account, with connections of its own."""
        given = {"names": (("a.example",),), "directory": f"{self.fake.url}/", "ca": self.fake.ca, **settings}
        return LibraryAuthority(AcmeSection(**given), self.store)

    def failed(self, **settings: Any) -> tuple[str, str, float]:
        """Order, and return (result, why, seconds to wait) of the failure."""
        error = self.assertRaises(AuthorityError, self.order, **settings)
        return error.result, str(error), error.retry_after_s


class ChallengeTests(AnswerCase):
    """What is to be proven."""

    def test_the_challenge_that_was_asked_for_is_taken(self) -> None:
        """Among others, unknown ones too; the key authorization has the account's thumbprint (RFC 8555 8.1)."""
        for kind in ("http-01", "tls-alpn-01"):
            (challenge,) = self.order(challenge=kind).challenges
            self.assertEqual((challenge.name, challenge.token), ("a.example", TOKEN))
            self.assertRegex(challenge.key_authorization, rf"\A{TOKEN}\.[A-Za-z0-9_-]{{43}}\Z")

    def test_a_name_that_is_valid_already_needs_no_proof(self) -> None:
        """The authority remembers it."""
        self.fake.answers["/authorization"] = made(self.fake.authorization(status="valid"))
        self.assertEqual(self.order().challenges, ())

    def test_a_challenge_that_is_not_offered_is_a_refusal(self) -> None:
        """It says which."""
        self.fake.answers["/authorization"] = made(self.fake.authorization(challenges=[]))
        self.assertEqual(self.failed(), ("refused", "the authority does not offer http-01 for a.example", 0.0))

    def test_only_what_was_ordered_is_proven(self) -> None:
        """An authority may not ask for anybody else's name."""
        other = {"type": "dns", "value": "b.example"}
        self.fake.answers["/authorization"] = made(self.fake.authorization(identifier=other))
        self.assertEqual(self.failed(), ("authority", "a proof of 'b.example', which was not ordered", 0.0))

    def test_a_token_that_could_be_a_path_is_none(self) -> None:
        """Nor one that is too short to be random, too long, or no text."""
        for token in ("../../etc/passwd-and-more", "short", "a" * 600, "", None, 5, "AAAAAAAAAAAAAAAAAAAAA\n"):
            challenges = [{"type": "tls-alpn-01", "url": f"{self.fake.url}/c", "token": token}]
            self.fake.answers["/authorization"] = made(self.fake.authorization(challenges=challenges))
            result, why, _ = self.failed(challenge="tls-alpn-01")
            self.assertEqual((result, why), ("authority", "a challenge without a token that can be one"), token)


class AccountTests(AnswerCase):
    """One for each directory."""

    def accounts(self) -> int:
        """How often one was asked for."""
        return self.fake.requests.count("/account")

    def test_it_is_made_once(self) -> None:
        """And used by later orders."""
        self.fake.answers["/account"] = made({"status": "valid"}, 201, Location=f"{self.fake.url}/me")
        self.order()
        self.order()
        self.assertEqual(self.accounts(), 1)

    def test_a_key_that_has_one_already_keeps_it(self) -> None:
        """As after a store that was lost but for the key; or a start that was cut off."""
        self.fake.answers["/account"] = made({"status": "valid"}, 200, Location=f"{self.fake.url}/me")
        self.order()
        account = self.store.read_account(f"{self.fake.url}/")
        assert account is not None
        self.assertEqual(account["uri"], f"{self.fake.url}/me")

    def test_an_authority_that_forgot_it_gets_it_again(self) -> None:
        """Once for each order; an authority that goes on forgetting is told as such."""
        self.order()
        self.fake.answers["/orders"] = problem("accountDoesNotExist", 400)
        result, why, _ = self.failed()
        self.assertEqual((result, self.accounts()), ("refused", 2))
        self.assertIn("accountDoesNotExist", why)

    def test_a_key_that_is_none_is_the_operators(self) -> None:
        """It is not thrown away."""
        for key in ({}, "key", {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}):
            self.store.write_account(f"{self.fake.url}/", {"uri": "u", "key": key})
            self.assertRaises(StoreError, self.order)
        self.assertEqual(self.accounts(), 0)


class FailureTests(AnswerCase):
    """Every failure has its word."""

    def test_rate_limits_are_told_with_the_time_to_wait(self) -> None:
        """As a number, as a date, by the status alone, at any step."""
        self.fake.answers["/orders"] = problem("rateLimited", 429, Retry_After="7200")
        result, why, seconds = self.failed()
        self.assertEqual((result, seconds), ("rate_limited", 7200.0))
        self.assertIn("because", why)
        self.fake.answers["/orders"] = problem("rateLimited", 429, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT")
        self.assertGreater(self.failed()[2], 86400)
        self.fake.answers = {"/": (429, {"Retry-After": "60"}, b"slow down")}
        self.assertEqual(self.failed(), ("rate_limited", "HTTP status 429", 60.0))
        self.fake.answers = {"/nonce": (503, {"Retry-After": "90"}, b"")}
        self.assertEqual(self.failed(), ("authority", "HTTP status 503", 90.0))

    def test_errors_of_the_authority_are_no_refusals(self) -> None:
        """So that an operator looks for them there."""
        expected = {"serverInternal": "authority", "rejectedIdentifier": "refused", "caa": "refused", "x": "authority"}
        for kind, result in expected.items():
            self.fake.answers["/orders"] = problem(kind, 500)
            self.assertEqual(self.failed()[0], result, kind)
        self.fake.answers["/orders"] = problem("ofTomorrow", 400)
        self.assertEqual(self.failed()[0], "refused")

    def test_what_makes_no_sense_is_told_as_such(self) -> None:
        """At every step: no JSON, another shape, nothing."""
        bodies = (b"", b"hello", b"[]", b"5", b"null", b'{"status": 5}', b'{"challenges": 7}', b"\xff\xfe", b'"x"')
        for path in ("/", "/account", "/orders", "/authorization"):
            for body in bodies:
                self.fake.answers = {path: (200, {"Content-Type": "application/json"}, body)}
                try:
                    order = self.order()
                except AuthorityError as error:
                    self.assertEqual(error.result, "authority", (path, body, str(error)))
                else:
                    # an account may say little of itself
                    self.assertEqual((path, len(order.challenges)), ("/account", 1), body)
                for account in self.store.path.glob("account-*"):
                    account.unlink()

    def test_what_leads_away_from_tls_is_not_followed(self) -> None:
        """Neither a redirect nor a place of the directory."""
        plain = "http://127.0.0.1:1/"
        self.fake.answers = {"/": (302, {"Location": plain}, b"")}
        self.assertEqual(self.failed()[0], "authority")
        self.fake.answers = {"/": made({"newNonce": plain, "newAccount": plain, "newOrder": plain})}
        result, why, _ = self.failed()
        self.assertEqual(result, "authority")
        self.assertIn("http://127.0.0.1:1/", why)

    def test_an_answer_without_end_is_not_read_to_it(self) -> None:
        """One mebibyte at most."""
        self.fake.answers["/"] = (200, {"Content-Type": "application/json"}, b" " * (4 * MAX_ANSWER))
        self.assertEqual(self.failed(), ("authority", f"an answer of more than {MAX_ANSWER} bytes", 0.0))

    def test_no_nonce_is_told(self) -> None:
        """It is needed for every request."""
        self.fake.answers["/nonce"] = (200, {"Replay-Nonce": "x"}, b"")
        self.assertEqual(self.failed()[0], "authority")

    def test_nobody_there(self) -> None:
        """Neither a listener nor somebody who talks."""
        (port,) = free_ports(1)
        result, why, _ = self.failed(directory=f"https://127.0.0.1:{port}/")
        self.assertEqual(result, "unreachable")
        self.assertIn("Connection refused", why)

    def test_silence(self) -> None:
        """Longer than request_timeout."""
        release = threading.Event()
        self.addCleanup(release.set)

        def wait() -> Answer:
            release.wait(20.0)
            return made({})

        self.fake.answers["/"] = wait
        result, why, _ = self.failed(request_timeout_s=0.2)
        self.assertEqual(result, "unreachable")
        self.assertIn("timed out", why)

    def test_a_certificate_that_is_not_trusted(self) -> None:
        """The bundle of another authority; nothing was asked of it."""
        other = Authority().write(Path(self.fake.ca).with_name("other.pem"))
        result, why, _ = self.failed(ca=other)
        self.assertEqual((result, self.fake.requests), ("unreachable", []))
        self.assertIn("CERTIFICATE_VERIFY_FAILED", why)


class CompletionTests(AnswerCase):
    """After the challenges are answered."""

    def complete(self, **settings: Any) -> tuple[str, str, float]:
        """Order, let the authority validate, and return how that failed."""
        up = f'<{self.fake.url}/authorization>;rel="up"'
        body = {"type": "http-01", "url": f"{self.fake.url}/http-01", "token": TOKEN, "status": "processing"}
        self.fake.answers.setdefault("/http-01", made(body, Link=up))
        order = self.order(**settings)
        self.assertEqual(order.challenges[0], Challenge("a.example", TOKEN, order.challenges[0].key_authorization))
        self.finish()
        error = self.assertRaises(AuthorityError, self.authority.complete, order)
        return error.result, str(error), error.retry_after_s

    def finish(self, **authorization: Any) -> None:
        """Say what becomes of the authorization."""
        self.fake.answers["/authorization"] = made(self.fake.authorization(**(authorization or self.became)))

    became: dict[str, Any] = {"status": "valid"}

    def test_a_proof_that_was_not_found_is_a_refusal(self) -> None:
        """With name and reason, in one line."""
        detail = "198.51.100.1:\x1b[31m no\nroute"
        error = {"type": "urn:ietf:params:acme:error:connection", "detail": detail, "status": 400}
        failed = [{"type": "http-01", "url": "https://x/", "token": TOKEN, "status": "invalid", "error": error}]
        self.became = {"status": "invalid", "challenges": failed}
        result, why, _ = self.complete()
        self.assertEqual(result, "refused")
        self.assertRegex(why, r"\Aa\.example: urn:.*:connection :: .* :: 198\.51\.100\.1: \[31m no route\Z")

    def test_a_validation_that_does_not_end_ends_by_order_timeout(self) -> None:
        """The library looks once a second."""
        self.became = {"status": "pending"}
        self.assertEqual(self.complete(order_timeout_s=0.1), ("timeout", "not done within order_timeout = 0.1 s", 0.0))

    def test_an_issuance_that_fails_is_told(self) -> None:
        """A rate limit at the last step counts as one."""
        self.fake.answers["/finalize"] = problem("rateLimited", 429, Retry_After="30")
        self.assertEqual(self.complete()[::2], ("rate_limited", 30.0))
        self.fake.answers["/authorization"] = made(self.fake.authorization())
        self.fake.answers["/finalize"] = problem("badCSR", 400)
        self.assertEqual(self.complete()[0], "refused")
