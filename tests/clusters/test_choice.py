"""What a cluster remembers between choices, and what it counts and tells."""

from __future__ import annotations

import dataclasses
import random
import socket
from typing import Any

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.cluster import Cluster
from tests.clusters.test_cluster import ids, section


class MemoryTests(SynchronousTestCase):
    """What a cluster remembers between choices, and what it tells of itself."""

    def make(self, lines: str, **changes: Any) -> Cluster:
        """Build one."""
        return Cluster(section(lines, **changes), random.Random(1))

    def test_the_same_tuple_and_mappings_while_nothing_changes(self) -> None:
        """Those who keep them know by identity that nothing has changed."""
        cluster = self.make("1.1.1.1:1 id=a token=YQ== max_connections=2\n1.1.1.1:2 id=b token=YQ==")
        a, b = cluster.backends
        usable, tokens, available = cluster.usable(1.0), cluster.by_token(1.0), cluster.available(1.0)
        self.assertEqual((usable, tokens, available), ((a, b), {b"a": (a, b)}, {"a": a, "b": b}))
        cluster.connect_started(a)
        cluster.connect_succeeded(a, 0.001, 1.0)
        cluster.connect_started(b)
        cluster.released(b)
        cluster.released(a)
        cluster.set_health(a, True, 0.0)
        for now in (2.0, 1e9):
            self.assertIs(cluster.usable(now), usable)
            self.assertIs(cluster.by_token(now), tokens)
            self.assertIs(cluster.available(now), available)

    def test_a_back_off_that_ends_is_noticed_at_its_second(self) -> None:
        """By every question, whichever comes first; the nearest end counts."""
        lines = "1.1.1.1:1 id=a token=YQ==\n1.1.1.1:2 id=b token=Yg==\n1.1.1.1:3 id=c token=Yw=="
        for question in ("usable", "by_token", "available", "choose", "full"):
            cluster = self.make(lines)
            a, b, _ = cluster.backends
            for backend, now in ((b, 5.0), (a, 0.0)):
                cluster.connect_started(backend)
                cluster.connect_failed(backend, now)
            for now, there in ((0.5, "c"), (0.99, "c"), (1.0, "ac"), (5.99, "ac"), (6.0, "abc")):
                if question == "usable":
                    found = "".join(backend.id for backend in cluster.usable(now))
                elif question == "by_token":
                    found = b"".join(cluster.by_token(now)).decode()
                elif question == "available":
                    found = "".join(cluster.available(now))
                else:
                    self.assertFalse(cluster.full(now))
                    found = "".join(sorted(ids(cluster, 9, now)))
                self.assertEqual(found, there, (question, now))

    def test_who_may_be_come_back_to(self) -> None:
        """Backups, full ones and those of weight 0; not those that are draining, ill or failing."""
        cluster = self.make(
            "1.1.1.1:1 id=full max_connections=1\n1.1.1.1:2 id=zero weight=0\n1.1.1.1:3 id=spare backup=yes\n"
            "1.1.1.1:4 id=ill\n1.1.1.1:5 id=failing\n1.1.1.1:6 id=gone"
        )
        full, _, _, ill, failing, gone = cluster.backends
        for backend in (full, failing, gone):
            cluster.connect_started(backend)
        cluster.connect_failed(failing, 0.0)
        cluster.set_health(ill, False, 0.0)
        cluster.update(
            dataclasses.replace(cluster.section, backends=tuple(e for e in cluster.section.backends if e.id != "gone"))
        )
        self.assertTrue(gone.draining)
        self.assertEqual(sorted(cluster.available(0.5)), ["full", "spare", "zero"])

    def test_tokens_lead_to_backups_too(self) -> None:
        """Primaries first; not to full ones."""
        cluster = self.make(
            "1.1.1.1:3 id=z backup=yes token=YQ==\n1.1.1.1:1 id=a token=YQ== token=Yg==\n"
            "1.1.1.1:2 id=b token=YQ== max_connections=1"
        )
        z, a, b = cluster.backends
        self.assertEqual(cluster.by_token(0.0), {b"a": (a, b, z), b"b": (a,)})
        cluster.connect_started(b)
        self.assertEqual(cluster.by_token(0.0), {b"a": (a, z), b"b": (a,)})

    def test_full_comes_and_goes_with_connections_old_and_new(self) -> None:
        """Kept ones that serve again count as well; below the limit nothing changes."""
        cluster = self.make("1.1.1.1:1 id=a max_connections=2\n1.1.1.1:2 id=b backup=yes")
        a, b = cluster.backends
        cluster.reused(a)
        self.assertEqual((cluster.choose(b"", 0.0), a.active, a.connections_total), (a, 1, 0))
        cluster.connect_started(a)
        self.assertEqual((cluster.choose(b"", 0.0), a.active, a.connections_total), (b, 2, 1))
        cluster.released(a)
        self.assertEqual((cluster.choose(b"", 0.0), a.active), (a, 1))
        cluster.reused(a)
        self.assertEqual(cluster.choose(b"", 0.0), b)
        cluster.released(a)
        cluster.released(a)
        self.assertEqual((cluster.choose(b"", 0.0), a.active), (a, 0))

    def test_an_empty_cluster_is_not_full(self) -> None:
        """Nor one that only drains; it has nobody, which is another answer."""
        self.assertFalse(self.make("").full(0.0))
        cluster = self.make("1.1.1.1:1 id=a max_connections=1")
        cluster.connect_started(cluster.backends[0])
        self.assertTrue(cluster.full(0.0))
        cluster.update(section(""))
        self.assertEqual((cluster.full(0.0), cluster.choose(b"", 0.0)), (False, None))

    def test_ill_and_full_is_full_only_when_all_are(self) -> None:
        """Ill ones with a place are tried, for the look may be wrong."""
        cluster = self.make("1.1.1.1:1 id=a max_connections=1\n1.1.1.1:2 id=b max_connections=1")
        a, b = cluster.backends
        for backend in (a, b):
            cluster.set_health(backend, False, 0.0)
        cluster.connect_started(a)
        self.assertEqual((cluster.full(0.0), cluster.choose(b"", 0.0)), (False, b))
        cluster.connect_started(b)
        self.assertEqual((cluster.full(0.0), cluster.choose(b"", 0.0)), (True, None))
        cluster.set_health(a, True, 0.0)
        cluster.released(b)
        self.assertEqual((cluster.full(0.0), cluster.choose(b"", 0.0)), (True, None))

    def test_failing_open_goes_to_those_with_weight_that_were_not_tried(self) -> None:
        """Primaries before backups; the tried ones when there is no other; each is counted."""
        cluster = self.make(
            "1.1.1.1:1 id=a\n1.1.1.1:2 id=b weight=0\n1.1.1.1:3 id=z backup=yes\n1.1.1.1:4 id=y backup=yes weight=0"
        )
        a, b, z, y = cluster.backends
        for backend in cluster.backends:
            cluster.set_health(backend, False, 0.0)
        for tried, chosen in (([], a), ([a], b), ([a, b], z), ([a, b, z], y), ([a, b, z, y], a)):
            self.assertEqual([cluster.choose(b"", 0.0, tried) for _ in range(4)], [chosen] * 4)
        self.assertEqual(cluster.fail_open_total, 20)

    def test_tried_ones_among_the_usable(self) -> None:
        """A backup that was not tried comes before a primary that was; all of them tried, the primaries again."""
        cluster = self.make("1.1.1.1:1 id=a\n1.1.1.1:3 id=z backup=yes")
        a, z = cluster.backends
        for tried, chosen in (([], a), ([a], z), ([z], a), ([a, z], a)):
            self.assertEqual(cluster.choose(b"", 0.0, tried), chosen)
        self.assertEqual(cluster.fail_open_total, 0)

    def test_what_hash_policies_hash(self) -> None:
        """The address, with its port where that is asked for; nothing for policies that hash nothing."""
        for balance, key, wanted in (
            ("rendezvous", "client_address", b"192.0.2.1"),
            ("maglev", "client_address_port", b"192.0.2.1:7"),
            ("maglev", "uri", b"192.0.2.1"),
            ("round_robin", "client_address_port", b""),
        ):
            cluster = self.make("", balance=balance, balance_key=key)
            self.assertEqual(cluster.client_key(("192.0.2.1", 7)), wanted)
            self.assertEqual(cluster.needs_key, balance != "round_robin")

    def test_another_policy_takes_over_with_an_update(self) -> None:
        """For primaries and backups; the same one keeps its turn."""
        lines = "1.1.1.1:1 id=a\n1.1.1.1:2 id=b\n1.1.1.1:3 id=c"
        cluster = self.make(lines)
        self.assertEqual([cluster.choose(b"", 0.0).id for _ in range(2)], ["b", "c"])  # type: ignore[union-attr]
        cluster.update(section(lines, retries=7))
        self.assertEqual([cluster.choose(b"", 0.0).id for _ in range(2)], ["a", "b"])  # type: ignore[union-attr]
        cluster.update(section(lines, balance="rendezvous"))
        self.assertTrue(cluster.needs_key)
        self.assertEqual(len({cluster.choose(b"key", 0.0) for _ in range(9)}), 1)
        backups = lines.replace("\n", " backup=yes\n") + " backup=yes"
        cluster.update(section(backups, balance="rendezvous"))
        self.assertEqual(len({cluster.choose(b"key", 0.0) for _ in range(9)}), 1)
        cluster.update(section(backups))
        self.assertEqual((cluster.needs_key, len({cluster.choose(b"key", 0.0) for _ in range(9)})), (False, 3))

    def test_watchers_are_told_of_members(self) -> None:
        """Of every update, and of names that resolve to something new; not of what stays."""
        cluster = self.make("app.test:80 id=app\n[::1]:5 id=six\nunix:/run/x id=u")
        told: list[list[str]] = []
        cluster.watchers.append(lambda cluster: told.append([backend.id for backend in cluster.backends]))
        answer = ((socket.AF_INET, ("2.2.2.2", 80)), (socket.AF_INET6, ("::2", 80)))
        cluster.resolved({"app.test:80": answer})
        cluster.resolved({"app.test:80": answer})
        cluster.resolved({"other.test:80": answer})
        members = ["app@2.2.2.2", "app@::2", "six", "u"]
        self.assertEqual(told, [members, members])
        found = [(backend.family, backend.sockaddr) for backend in cluster.backends]
        expected = [(2, ("2.2.2.2", 80)), (10, ("::2", 80)), (10, ("::1", 5)), (1, "/run/x")]
        self.assertEqual(found, expected)
        cluster.update(cluster.section)
        self.assertEqual(len(told), 3)

    def test_a_backend_of_another_address_is_another_backend(self) -> None:
        """Under the same id; the old one drains."""
        cluster = self.make("1.1.1.1:1 id=a")
        old = cluster.backends[0]
        cluster.connect_started(old)
        cluster.update(section("1.1.1.1:2 id=a"))
        new = cluster.backends[0]
        self.assertEqual((len(cluster.backends), old.draining, new.draining, new.active), (2, True, False, 0))
        with capturedLogs() as lines:
            cluster.released(old)
        self.assertEqual((cluster.backends, [line["backend"] for line in lines]), ([new], ["a"]))

    def test_what_becomes_of_attempts_is_counted(self) -> None:
        """And told when a backend goes down or comes up, or is found ill or well."""
        cluster = self.make("1.1.1.1:1 id=a\n1.1.1.1:2 id=b")
        a = cluster.backends[0]
        now = 0.0
        with capturedLogs() as lines:
            for _ in range(7):
                now = a.backoff.until
                cluster.connect_started(a)
                cluster.connect_failed(a, now)
            cluster.marked_bad(a, now)
            cluster.connect_started(a)
            cluster.connect_succeeded(a, 0.25, now)
            cluster.connect_started(a)
            cluster.connect_succeeded(a, 0.25, now)
            cluster.set_health(a, False, now)
            cluster.set_health(a, False, now)
            cluster.set_health(a, True, now)
        self.assertEqual((a.failures_total, a.connections_total, a.active), (8, 9, 2))
        self.assertEqual((a.backoff.failures, a.latency_s, cluster.connect_secs.sum), (0, 0.25, 0.5))
        self.assertEqual([line["state"] for line in lines], ["ejected", "down", "up", "down", "up"])
        bounds = [bound for bound, _ in cluster.connect_secs.cumulative()]
        self.assertEqual(" ".join(bounds), "0.0005 0.001 0.005 0.01 0.05 0.1 0.5 1.0 3.0 +Inf")

    def test_a_success_ends_the_back_off_at_once(self) -> None:
        """The backend is chosen again."""
        cluster = self.make("1.1.1.1:1 id=a\n1.1.1.1:2 id=b")
        a, _ = cluster.backends
        cluster.connect_started(a)
        cluster.marked_bad(a, 0.0)
        self.assertEqual(ids(cluster, now=0.5), {"b"})
        cluster.connect_succeeded(a, 0.001, 0.5)
        self.assertEqual(ids(cluster, now=0.5), {"a", "b"})
