"""What becomes of certificates: ordered, renewed, and kept when nothing else can be done."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from twisted.logger import capturedLogs
from twisted.web.test.requesthelper import DummyRequest

from netappliance.acme.authority import RESULTS, AuthorityError
from netappliance.acme.collector import AcmeCollector
from netappliance.acme.page import acme_pages, state_of
from netappliance.acme.service import AcmeService, utc
from netappliance.errors import StartError
from tests.acme.world import AcmeCase

DAY = 86400.0


def ended(service: AcmeService) -> dict[str, int]:
    """How many orders ended, by result, without those that none had."""
    return {result: count for result, count in service.orders.items() if count}


class OrderTests(AcmeCase):
    """One order at a time."""

    names = "a.example b.example\nc.example"

    def test_a_certificate_is_ordered_proven_and_kept(self) -> None:
        """Each line is one; the proofs are there while the authority validates, and gone afterwards."""
        service = self.start()
        self.assertEqual(ended(service), {"ok": 2})
        self.assertEqual(self.authority.ordered, [("a.example", "b.example"), ("c.example",)])
        self.assertEqual(self.authority.validated[0], {
            ("a.example", "token-a.example"): "token-a.example.thumb",
            ("b.example", "token-b.example"): "token-b.example.thumb",
        })  # fmt: skip
        self.assertEqual(self.proofs.answered, {})
        held = self.store.read_certificate("a.example")
        assert held is not None
        self.assertTrue(held.covers(("a.example", "b.example")))
        self.assertEqual([each.state(service.now()) for each in service.certificates], ["valid", "valid"])

    def test_the_start_waits_for_nothing(self) -> None:
        """Before the authority was asked there are placeholders; after it failed they are still there."""
        service = self.make()
        self.authority.fails.extend([AuthorityError("unreachable", "no route to host")] * 2)
        service.startService()
        self.addCleanup(service.stopService)
        self.assertEqual(self.authority.ordered, [])
        held = self.store.read_certificate("c.example")
        assert held is not None
        self.assertEqual((held.placeholder, held.names), (True, frozenset(("c.example",))))
        self.turn()
        self.assertEqual(ended(service), {"unreachable": 2})
        self.assertEqual([each.state(service.now()) for each in service.certificates], ["placeholder"] * 2)

    def test_a_refusal_withdraws_the_proofs(self) -> None:
        """And the next line has its turn."""
        self.authority.fails.extend([None, AuthorityError("refused", "a.example: no such host")])
        service = self.start()
        self.assertEqual(ended(service), {"refused": 1, "ok": 1})
        self.assertEqual(self.proofs.answered, {})
        self.assertEqual(service.certificates[0].last_failure[1:], ("refused", "a.example: no such host"))

    def test_a_stop_gives_the_order_up(self) -> None:
        """Its proofs are withdrawn, nothing is booked, and what a thread brings later is dropped."""
        service = self.make()
        service.startService()
        self.clock.advance(0)
        self.jobs.run_one()
        self.assertEqual(len(self.proofs.answered), 2)
        service.stopService()
        self.assertEqual(self.proofs.answered, {})
        self.jobs.run()
        self.assertEqual(ended(service), {})
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(service.ordering)


class KeepingTests(AcmeCase):
    """What is in force."""

    def test_it_is_renewed_a_third_of_its_life_before_its_end(self) -> None:
        """Here after 61 to 58 of 91 days, one of which was over when it was issued; not earlier."""
        service = self.start()
        self.turn(56 * DAY)
        self.assertEqual(ended(service), {"ok": 1})
        before = self.store.certificate_path("a.example").read_bytes()
        self.authority.signer = type(self.authority.signer)()
        self.turn(5 * DAY)
        self.assertEqual(ended(service)["ok"], 2)
        self.assertNotEqual(self.store.certificate_path("a.example").read_bytes(), before)

    def test_a_failing_renewal_leaves_the_old_one(self) -> None:
        """Byte for byte, for any time; attempts come at growing distances, 12 hours at most."""
        service = self.start()
        before = self.store.certificate_path("a.example").read_bytes()
        self.authority.fails.extend([AuthorityError("unreachable", "down")] * 1000)
        self.turn(61 * DAY)
        some = service.orders["unreachable"]
        self.turn(10 * DAY)
        self.assertEqual(self.store.certificate_path("a.example").read_bytes(), before)
        self.assertLessEqual(service.orders["unreachable"] - some, 10 * 2 * 1.25 + 1)
        self.assertGreaterEqual(service.orders["unreachable"] - some, 10 * 2 / 1.25 - 1)
        self.authority.fails.clear()
        self.turn(DAY)
        self.assertEqual(service.orders["ok"], 2)

    def test_the_authority_is_left_alone_for_as_long_as_it_asks(self) -> None:
        """Retry-After of three days."""
        self.authority.fails.append(self.rate_limited(3 * DAY))
        service = self.start()
        self.turn(3 * DAY - 60)
        self.assertEqual(ended(service), {"rate_limited": 1})
        self.turn(120)
        self.assertEqual(ended(service), {"rate_limited": 1, "ok": 1})

    def test_and_over_restarts(self) -> None:
        """Or a process that is started again and again would ask each time."""
        self.authority.fails.append(self.rate_limited(3 * DAY))
        self.start().stopService()
        for _ in range(5):
            service = self.start()
            self.assertEqual(ended(service), {})
            self.assertEqual(service.certificates[0].schedule.failures, 1)
            service.stopService()
        self.turn(3 * DAY)
        self.assertEqual(ended(self.start()), {"ok": 1})

    def test_a_restart_orders_nothing_that_is_there(self) -> None:
        """With or without what the last process left."""
        self.start().stopService()
        service = self.start()
        self.assertEqual(ended(service), {})
        service.stopService()
        self.assertGreater(service.certificates[0].last_success, self.epoch - 1)
        (self.store.path / "state.json").write_text("{]")
        self.assertEqual(ended(self.start()), {})

    def test_values_that_cannot_be_are_as_none(self) -> None:
        """In the file of attempts."""
        for value in ("x", None, -1, [1], float("inf"), 10**400, float("nan")):
            state = {"a.example": {"directory": "https://ca.example/", "failures": value, "retry_at": value}}
            self.store.prepare()
            self.store.write_state(state)
            service = self.begin()
            self.assertEqual(service.certificates[0].schedule.failures, 0, value)
            service.stopService()
        self.store.write_state({"a.example": []})
        self.assertEqual(ended(self.start()), {"ok": 1})

    def test_other_names_want_another_certificate(self) -> None:
        """The old one is served until it is there."""
        self.start().stopService()
        self.names = "a.example www.a.example"
        service = self.begin()
        self.assertEqual(service.certificates[0].state(service.now()), "valid")
        self.turn()
        self.assertEqual(ended(service), {"ok": 1})

    def test_another_authority_too(self) -> None:
        """And failures at the old one are not its own."""
        self.start().stopService()
        self.authority.fails.append(self.rate_limited(DAY))
        self.names = "a.example www.a.example"
        self.start().stopService()
        self.assertEqual(ended(self.start(directory="https://other.example/")), {"ok": 1})

    def test_an_expired_one_is_replaced(self) -> None:
        """At the start."""
        self.store.prepare()
        old = self.authority.signer.leaf("a.example", starts=timedelta(days=-90), ends=timedelta(days=-1))
        self.store.write_certificate("a.example", old.pem)
        service = self.begin()
        (certificate,) = service.certificates
        self.assertEqual(certificate.state(service.now()), "expired")
        self.assertEqual(certificate.state(certificate.expires - 1), "valid")
        self.turn()
        self.assertEqual(ended(service), {"ok": 1})

    def test_garbage_in_its_place_is_left_until_there_is_a_better_one(self) -> None:
        """The operator put it there; a warning says so."""
        self.store.prepare()
        path = self.store.certificate_path("a.example")
        path.write_text("hello")
        with capturedLogs() as events:
            service = self.begin()
        self.assertEqual([event["path"] for event in events if "path" in event], [str(path)])
        self.assertEqual((path.read_text(), service.certificates[0].state(0.0)), ("hello", "missing"))
        self.turn()
        self.assertEqual(ended(service), {"ok": 1})


class TroubleTests(AcmeCase):
    """Ours and the authority's."""

    def test_what_was_issued_must_be_what_was_ordered(self) -> None:
        """A chain for another key does not get into the store."""
        self.authority.chain = self.authority.signer.leaf("a.example").chain_pem.decode()
        service = self.start()
        self.assertEqual(ended(service), {"authority": 1})
        self.assertIn("the key is not the certificate's", str(service.certificates[0].last_failure))
        self.assertEqual(service.certificates[0].state(service.now()), "placeholder")

    def test_a_store_that_cannot_be_written_is_told(self) -> None:
        """The old certificate stays in force; so do the attempts of before, as far as they are known."""
        service = self.start()
        (self.store.path / "a.example.pem.new").mkdir()
        (self.store.path / "state.json.new").mkdir()
        with capturedLogs() as events:
            self.turn(61 * DAY)
        self.assertEqual(set(ended(service)), {"ok", "internal"})
        self.assertEqual(service.certificates[0].state(service.now()), "valid")
        told = [event["log_format"] for event in events if event["log_format"].startswith("[acme]")]
        self.assertTrue(any("attempts cannot be kept" in text for text in told), told)

    def test_a_store_that_cannot_be_used_stops_the_start(self) -> None:
        """Before anything is ordered."""
        self.store.path.write_text("a file")
        error = self.assertRaises(StartError, self.make)
        self.assertIn("[acme] store: cannot use", str(error))

    def test_a_store_that_cannot_be_made_is_told_and_tried_again(self) -> None:
        """The authority is not asked meanwhile: what it issues could not be kept."""
        parent = self.store.path.parent
        parent.rmdir()
        service = self.make()
        parent.touch()
        with capturedLogs() as events:
            service.startService()
        self.addCleanup(service.stopService)
        self.assertIn("[acme] store: cannot use", events[0]["why"])
        self.turn()
        self.assertEqual((ended(service), self.authority.ordered), ({"internal": 1}, []))
        parent.unlink()
        self.turn(3600)
        self.assertEqual(ended(service), {"internal": 1, "ok": 1})

    def test_a_bug_does_not_end_renewals(self) -> None:
        """One traceback in the log, and the next attempt."""
        self.authority.fails.append(ZeroDivisionError("of ours"))
        service = self.start()
        self.assertEqual(ended(service), {"internal": 1})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.turn(3600)
        self.assertEqual(ended(service), {"internal": 1, "ok": 1})

    def test_a_failure_is_told_with_what_is_served(self) -> None:
        """Name, result, why, when next; and how long the old one is good."""
        self.authority.fails.append(self.rate_limited(DAY))
        with capturedLogs() as events:
            self.start()
        (event,) = [event for event in events if "result" in event]
        told = {key: event[key] for key in ("name", "result", "why", "next", "served")}
        self.assertEqual(told, {
            "name": "a.example",
            "result": "rate_limited",
            "why": "too many certificates",
            "next": utc(self.epoch + DAY),
            "served": "the one that is served is placeholder",
        })  # fmt: skip

    def test_a_wall_clock_that_leaps_is_followed_within_an_hour(self) -> None:
        """Forward: renewals are due; the reactor's clock does not know."""
        service = self.start()
        self.epoch += 70 * DAY
        self.turn(3601)
        self.assertEqual(ended(service), {"ok": 2})


class ShownTests(AcmeCase):
    """Page and metrics."""

    names = "a.example\nb.example"

    def test_the_page(self) -> None:
        """JSON with every certificate; times in words."""
        self.authority.fails.append(self.rate_limited(DAY))
        service = self.start()
        page = acme_pages(service)["/acme"](lambda request: False)
        request: Any = DummyRequest([])
        shown = json.loads(bytes(page.render(request)))
        self.assertEqual(shown, state_of(service))
        first, second = shown["certificates"]
        self.assertEqual((first["state"], first["expires"], first["failures"]), ("placeholder", None, 1))
        self.assertEqual(first["last_failure"]["result"], "rate_limited")
        self.assertEqual(first["next_attempt"], utc(self.epoch + DAY))
        self.assertEqual((second["state"], second["last_failure"], second["ordering"]), ("valid", None, False))
        self.assertEqual(second["expires"], utc(service.certificates[1].expires))

    def test_an_order_by_hand(self) -> None:
        """Of a name that there is, for those who may change state; a POST."""
        service = self.start()
        page = acme_pages(service)["/acme/*"](lambda request: request.getHeader(b"Authorization") is not None)

        def post(path: bytes, method: bytes = b"POST", token: bytes = b"Bearer x") -> int:
            request: Any = DummyRequest([])
            request.path, request.method = path, method
            if token:
                request.requestHeaders.addRawHeader(b"Authorization", token)
            page.render(request)
            return int(request.responseCode or 200)

        bad = (b"/acme/c.example/order", b"/acme/a.example", b"/acme/a.example/", b"/acme//order", b"/acme/\xe4/order")
        self.assertEqual([post(path) for path in bad], [404] * len(bad))
        self.assertEqual(post(b"/acme/a.example/order", token=b""), 401)
        self.assertEqual(post(b"/acme/a.example/order", b"GET"), 405)
        self.turn()
        self.assertEqual(ended(service), {"ok": 2})
        self.assertEqual(post(b"/acme/a.example/order"), 200)
        self.turn()
        self.assertEqual((ended(service), self.authority.ordered[-1]), ({"ok": 3}, ("a.example",)))

    def test_an_order_by_hand_does_not_wait_for_the_authoritys_time(self) -> None:
        """But for the order under way."""
        self.authority.fails.append(self.rate_limited(DAY))
        service = self.make()
        service.startService()
        self.addCleanup(service.stopService)
        self.clock.advance(0)
        service.order_now("b.example")
        self.turn()
        self.assertEqual(ended(service), {"rate_limited": 1, "ok": 1})
        service.order_now("a.example")
        self.turn()
        self.assertEqual(ended(service), {"rate_limited": 1, "ok": 2})

    def test_metrics(self) -> None:
        """Every result from the start on, and each certificate; a placeholder does not look like a good one."""
        self.authority.fails.append(self.rate_limited(DAY))
        service = self.start()
        self.proofs.answered_total = 7
        found = {
            (sample.name.removeprefix("netappliance_acme_"), *sample.labels.values()): sample.value
            for family in AcmeCollector(service).collect()
            for sample in family.samples
        }
        self.assertEqual({key[-1] for key in found if key[0] == "orders_total"}, set(RESULTS))
        self.assertEqual((found["orders_total", "rate_limited"], found[("challenges_answered_total",)]), (1, 7))
        self.assertEqual(found["certificate_expires_timestamp_seconds", "a.example"], 0)
        self.assertEqual(found["certificate_expires_timestamp_seconds", "b.example"], service.certificates[1].expires)
        self.assertEqual(found["last_success_timestamp_seconds", "b.example"], self.epoch)
        self.assertEqual(found["next_attempt_timestamp_seconds", "a.example"], self.epoch + DAY)
        self.assertEqual((found["failures", "a.example"], found["failures", "b.example"]), (1, 0))
