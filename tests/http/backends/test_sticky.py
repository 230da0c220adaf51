"""A cookie leads a client back to its backend, tells nothing, and never reaches the backend."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import backend_lines
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.section import ClusterSection
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.http.backends.sticky import Sticky

LINES = "10.0.0.1:80 id=a\n10.0.0.2:80 id=b\n10.0.0.3:80\nunix:/run/d\n[::1]:80 id=z backup=yes"


class StickyTests(SynchronousTestCase):
    """Two named backends, one named by its address, one by its path, a backup."""

    def make(self, lines: str = LINES, **changes: Any) -> Sticky:
        """The cookie SRV of a cluster."""
        section = ClusterSection(name="c", backends=backend_lines(lines), sticky_cookie="SRV", **changes)
        self.cluster = Cluster(section, random.Random(1))
        return Sticky(self.cluster)

    def by_id(self, name: str) -> Backend:
        """One backend."""
        return next(backend for backend in self.cluster.backends if backend.id == name)

    def fail_once(self, name: str, now: float) -> None:
        """One failed connection."""
        self.cluster.connect_started(self.by_id(name))
        self.cluster.connect_failed(self.by_id(name), now)

    def test_a_first_visit_sets_the_cookie_and_the_next_one_comes_back(self) -> None:
        """Without another Set-Cookie."""
        sticky = self.make()
        value = sticky.take([b"Accept: */*"])
        self.assertEqual((value, sticky.backend(value, 0.0)), (b"", None))
        line = sticky.set_cookie(value, self.by_id("b"), secure=False)
        self.assertEqual(line, b"Set-Cookie: SRV=b; Path=/; HttpOnly; SameSite=Lax")
        lines = [b"Cookie: x=1; SRV=b", b"Accept: */*"]
        value = sticky.take(lines)
        self.assertEqual(lines, [b"Cookie: x=1", b"Accept: */*"])
        self.assertIs(sticky.backend(value, 0.0), self.by_id("b"))
        self.assertIsNone(sticky.set_cookie(value, self.by_id("b"), secure=False))
        self.assertEqual((sticky.assigned_total, sticky.kept_total, sticky.moved_total), (1, 1, 0))

    def test_the_value_reveals_no_address(self) -> None:
        """A digest where nobody gave a plain id: address, path, name@address; another with another secret."""
        sticky, other = self.make(), self.make(sticky_secret="s")
        for name in ("10.0.0.3:80", "unix:/run/d", "[0::1]:80", "web@10.0.0.9", "a.example:80"):
            backend = Backend(backend_lines("10.0.0.3:80")[0], 2, ("10.0.0.3", 80), name)
            value = sticky.value(backend)
            self.assertRegex(value, rb"^[0-9a-f]{24}$")
            self.assertNotEqual(value, other.value(backend))
            self.assertEqual(value, self.make().value(backend))

    def test_a_digest_leads_back_too(self) -> None:
        """To the backend that has no id of its own."""
        sticky = self.make()
        backend = self.by_id("10.0.0.3:80")
        self.assertIs(sticky.backend(sticky.value(backend), 0.0), backend)
        self.assertIsNone(sticky.backend(b"10.0.0.3:80", 0.0))

    def test_what_cannot_be_used_is_chosen_anew_and_gets_a_new_cookie(self) -> None:
        """Unknown, unhealthy, in its back-off, removed; and back again when it is."""
        sticky = self.make()
        self.assertIsNone(sticky.backend(b"nobody", 0.0))
        self.cluster.set_health(self.by_id("a"), False, 0.0)
        self.assertIsNone(sticky.backend(b"a", 0.0))
        self.cluster.set_health(self.by_id("a"), True, 0.0)
        self.assertIs(sticky.backend(b"a", 0.0), self.by_id("a"))
        self.fail_once("a", 0.0)
        self.assertIsNone(sticky.backend(b"a", 0.5))
        line = sticky.set_cookie(b"a", self.by_id("b"), secure=False)
        self.assertIn(b"SRV=b", line or b"")
        self.assertIs(sticky.backend(b"a", 2.0), self.by_id("a"))
        self.cluster.connect_started(self.by_id("a"))
        self.cluster.update(ClusterSection(name="c", backends=backend_lines("10.0.0.2:80 id=b"), sticky_cookie="SRV"))
        self.assertIsNone(sticky.backend(b"a", 2.0))
        self.assertEqual((sticky.assigned_total, sticky.kept_total, sticky.moved_total), (0, 0, 1))

    def test_full_weightless_and_backup_backends_keep_their_clients(self) -> None:
        """They only get no new ones."""
        sticky = self.make("10.0.0.1:80 id=a max_connections=1\n10.0.0.2:80 id=b weight=0\n10.0.0.3:80 id=z backup=yes")
        self.cluster.connect_started(self.by_id("a"))
        for name in "abz":
            self.assertIs(sticky.backend(name.encode(), 0.0), self.by_id(name))

    def test_attributes(self) -> None:
        """Each by its key; Secure follows the client unless told otherwise."""
        for changes, secure, expected in (
            ({}, True, b"; Path=/; Secure; HttpOnly; SameSite=Lax"),
            ({"sticky_secure": "yes", "sticky_http_only": False}, False, b"; Path=/; Secure; SameSite=Lax"),
            ({"sticky_secure": "no", "sticky_same_site": "off"}, True, b"; Path=/; HttpOnly"),
            (
                {"sticky_path": "/app", "sticky_max_age_s": 3600.0},
                False,
                b"; Path=/app; Max-Age=3600; HttpOnly; SameSite=Lax",
            ),
            ({"sticky_same_site": "none"}, True, b"; Path=/; Secure; HttpOnly; SameSite=None"),
            ({"sticky_same_site": "none"}, False, b"; Path=/; HttpOnly"),
            ({"sticky_same_site": "strict"}, False, b"; Path=/; HttpOnly; SameSite=Strict"),
        ):
            sticky = self.make(**changes)
            line = sticky.set_cookie(b"", self.by_id("a"), secure=secure)
            self.assertEqual(line, b"Set-Cookie: SRV=a" + expected, changes)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=60))
    def test_garbage_never_raises(self, value: bytes) -> None:
        """It is an unknown value at most."""
        sticky = self.make()
        found = sticky.take([b"Cookie: SRV=" + value])
        sticky.backend(found, 0.0)
        self.assertIsNotNone(sticky.set_cookie(found + b"!", self.by_id("a"), secure=True))


class StickySectionTests(SynchronousTestCase):
    """What a file may say."""

    def errors(self, keys: str) -> str:
        """Everything that is wrong."""
        try:
            load(f"[cluster c]\nbackends = 127.0.0.1:1\n{keys}", "p.ini", section_kinds())
        except ConfigErrors as errors:
            return str(errors)
        return ""

    def test_what_browsers_would_throw_away_is_an_error(self) -> None:
        """Each names its key; none of them while there is no cookie."""
        for keys, expected in (
            ("sticky_cookie = S V", "sticky_cookie: a bad value"),
            ("sticky_cookie = S\nsticky_path = /;a", "sticky_path: a bad value"),
            ("sticky_cookie = S\nsticky_same_site = none\nsticky_secure = no", "sticky_same_site: browsers"),
            ("sticky_cookie = __Secure-S", "sticky_secure: browsers"),
            ("sticky_cookie = __Host-S\nsticky_secure = yes\nsticky_path = /x", "sticky_path: browsers"),
            ("sticky_cookie = S\nsticky_max_age = 10ms", "sticky_max_age: cookies"),
        ):
            self.assertIn(f"[cluster c] {expected}", self.errors(keys), keys)
        self.assertEqual(self.errors("sticky_same_site = none\nsticky_secure = no"), "")
        self.assertEqual(self.errors("sticky_cookie = __Host-S\nsticky_secure = yes"), "")
