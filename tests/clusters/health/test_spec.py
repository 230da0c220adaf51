"""What ``health_check`` may say, and what counts as well."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netappliance.clusters.health import health_check
from netappliance.clusters.health.http_answer import CheckFailed
from netappliance.clusters.health.probes import CHECKS, BytesSettings, judge_prefix
from netappliance.clusters.health.state import HealthState, first_delay, next_delay
from netappliance.config import plugins as installed
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.interfaces import IHealthCheck


class SpecTests(SynchronousTestCase):
    """The key's text."""

    def test_every_option_has_a_default(self) -> None:
        """But a path to ask for, and a question over UDP."""
        spec = health_check("http uri=/healthz")
        assert spec is not None
        self.assertEqual((spec.interval_s, spec.timeout_s, spec.rise, spec.fall, spec.port), (10.0, 5.0, 3, 3, 0))
        self.assertEqual((spec.settings.method, spec.settings.host), ("GET", ""))
        self.assertEqual(spec.settings.expected.statuses, frozenset(range(200, 300)))
        self.assertEqual(spec.initial, "up")
        checking = health_check("tcp initial=checking")
        self.assertEqual(checking and checking.initial, "checking")
        self.assertIsNone(health_check(""))

    def test_options_are_read_and_equal_texts_are_equal(self) -> None:
        """So that a reload without change changes nothing."""
        text = "tcp send=UElORwo= expect=UE9ORw== interval=100ms timeout=1s rise=1 fall=2 port=81"
        spec = health_check(text)
        assert spec is not None
        self.assertEqual((spec.interval_s, spec.timeout_s, spec.rise, spec.fall, spec.port), (0.1, 1.0, 1, 2, 81))
        self.assertEqual(spec.settings, BytesSettings(b"PING\n", b"PONG"))
        self.assertEqual(spec, health_check(text))
        statuses = health_check("http uri=/ expect=200,401-403")
        assert statuses is not None
        self.assertEqual(statuses.settings.expected.statuses, {200, 401, 402, 403})

    def test_what_cannot_be_meant_is_refused(self) -> None:
        """Each says what was expected."""
        for text, expected in (
            ("htp uri=/", "http | tcp | udp; did you mean 'http'?"),
            ("http", "in uri="),
            ("http uri=x", "in uri="),
            ("http uri=/\u00e4", "in uri="),
            ("http uri=/\x7f", "in uri="),
            ("http uri=/ expect=99", "in expect="),
            ("http uri=/ expect=300-200", "in expect="),
            ("http uri=/ expect=2xx", "in expect="),
            ("http uri=/ host=a/b", "in host="),
            ("http uri=/ method=DELETE", "GET | HEAD"),
            ("http uri=/ send=eA==", "options uri="),
            ("http uri=/ intervall=1s", "did you mean 'interval'?"),
            ("http uri=/ interval=10ms", "at least 100ms in interval="),
            ("http uri=/ rise=0", "a whole number from 1 to 1000 in rise="),
            ("http uri=/ fall=1001", "a whole number from 1 to 1000 in fall="),
            ("http uri=/ port=65536", "a whole number from 0 to 65535 in port="),
            ("http uri=/ timeout=0", "a duration above 0 in timeout="),
            ("http uri=/ interval=99ms", "a duration of at least 100ms in interval="),
            ("http uri=/ header=a/b", "NAME, NAME:TEXT or NAME:~REGEX in header="),
            ("http uri=/ header=a:", "percent-encoded, or ~ and a regular expression in header="),
            ("http uri=/ body=~(", "a regular expression behind ~"),
            ("http uri=/ body=", "percent-encoded, or ~ and a regular expression in body="),
            ("http uri=/ body=x method=HEAD", "another method than HEAD for body="),
            (
                "http uri=/ x=1",
                "options uri=, expect=, header=, body=, host=, method=, interval=, timeout=, rise=, fall=, port=",
            ),
            ("http uri=/ initial=down", "up | checking in initial="),
            ("http uri=/ word", "options of the form key=value, not 'word'"),
            ("dns", "http | tcp | udp, then options"),
            ("http uri=/ uri=/", "uri= only once"),
            ("http /", "key=value"),
            ("tcp send=?", "base64 in send="),
            ("tcp send=", "1 to 4096 bytes in send="),
            ("udp", "send=BASE64"),
        ):
            self.assertIn(expected, str(self.assertRaises(ValueError, health_check, text)), text)

    def test_udp_has_no_way_to_a_unix_socket(self) -> None:
        """An error of the file."""
        text = "[cluster c]\nbackends = unix:/run/x\nhealth_check = udp send=eA==\n"
        errors = self.assertRaises(ConfigErrors, load, text, "p.ini", section_kinds())
        self.assertIn("[cluster c] health_check: there is no udp to the unix sockets", str(errors))

    def test_the_kinds_provide_the_interface(self) -> None:
        """As a plug-in's must."""
        for check in CHECKS.values():
            verifyObject(IHealthCheck, check)


class JudgeTests(SynchronousTestCase):
    """Answers, whole and in pieces."""

    def test_expected_bytes_are_a_prefix(self) -> None:
        """More may follow, less is waited for, other bytes are ill at once."""
        self.assertTrue(judge_prefix(b"PONG\n", b"PONG"))
        self.assertFalse(judge_prefix(b"PO", b"PONG"))
        self.assertRaises(CheckFailed, judge_prefix, b"PX", b"PONG")


class StateTests(SynchronousTestCase):
    """Checks in a row."""

    def test_fall_in_a_row_make_ill_and_rise_in_a_row_make_well(self) -> None:
        """One that speaks for the state begins the count anew."""
        state = HealthState(rise=2, fall=3)
        states = []
        for passed in (0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0):
            changed = state.observe(passed=bool(passed))
            states.append((int(changed), int(state.healthy)))
        expected = [(0, 1)] * 5 + [(1, 0)] + [(0, 0)] * 4 + [(1, 1), (0, 1)]
        self.assertEqual(states, expected)

    @settings(max_examples=200, deadline=None)
    @given(st.integers(1, 4), st.integers(1, 4), st.lists(st.booleans(), max_size=40), st.booleans())
    def test_a_state_changes_exactly_after_that_many_in_a_row(
        self, rise: int, fall: int, results: list[bool], healthy: bool
    ) -> None:
        """Against a model that looks back."""
        state = HealthState(rise, fall, healthy=healthy)
        since = 0
        for number, passed in enumerate(results, 1):
            before = state.healthy
            changed = state.observe(passed=passed)
            count = fall if before else rise
            recent = results[since:number][-count:]
            self.assertEqual(changed, len(recent) == count and all(one is not before for one in recent))
            self.assertEqual(state.healthy, before != changed)
            if changed:
                since = number

    def test_who_is_being_checked_is_neither_well_nor_ill(self) -> None:
        """Until as many checks in a row say the one or the other."""
        for results, healthy, after in (
            ((1, 1), True, 2),
            ((0, 1, 1), True, 3),
            ((1, 0, 1, 0, 0, 0), False, 6),
            ((0, 0, 1, 0, 0, 1, 1), True, 7),
        ):
            state = HealthState(2, 3, healthy=False, checking=True)
            changes = [state.observe(passed=bool(passed)) for passed in results]
            self.assertEqual(changes, [False] * (after - 1) + [True], results)
            self.assertEqual((state.healthy, state.checking, state.streak), (healthy, False, 0))

    def test_checks_are_spread(self) -> None:
        """The first within a second, the others a tenth around the interval."""
        rng = random.Random(1)
        self.assertTrue(all(0 <= first_delay(10.0, rng) < 1.0 for _ in range(100)))
        delays = [next_delay(10.0, rng) for _ in range(100)]
        self.assertTrue(9.0 <= min(delays) < 9.5 < 10.5 < max(delays) <= 11.0)
        for interval, least in ((10.0, 0.9), (0.5, 0.45)):
            delays = [next_delay(interval, rng, checking=True) for _ in range(100)]
            self.assertTrue(least <= min(delays) <= max(delays) <= least / 9 * 11)


class ThirdPartyTests(SynchronousTestCase):
    """A plug-in's check is configured like ours."""

    def test_a_plug_in_is_found_by_its_name_and_given_its_options(self) -> None:
        """The common ones are the appliance's; unknown ones are refused."""

        @implementer(IPlugin, IHealthCheck)
        class Redis:
            name = "redis"
            options = ("db",)

            def configure(self, options: Mapping[str, str]) -> dict[str, str]:
                return dict(options)

            def probe(self, family: int, sockaddr: Any, settings: Any, reactor: Any, timeout_s: float) -> Any:
                return None

        self.patch(installed, "getPlugins", lambda interface, package: [Redis()] if interface is IHealthCheck else [])
        spec = health_check("redis db=3 interval=1s")
        assert spec is not None
        self.assertEqual((spec.kind, spec.settings, spec.interval_s), ("redis", {"db": "3"}, 1.0))
        self.assertIn("options db=", str(self.assertRaises(ValueError, health_check, "redis uri=/")))
        self.assertIn("http | tcp | udp | redis", str(self.assertRaises(ValueError, health_check, "rdis")))
