"""The TLS of a cluster's backends: whose name is looked for, and what outlives a change."""

from __future__ import annotations

import random
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend_section import backend_lines
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.section import ClusterSection
from netappliance.tls.to_backends.section import backend_tls

LINES = "10.0.0.1:1 id=a\nApi.Test.:2 id=b\nunix:/run/c id=c"


def section(lines: str = LINES, tls: str = "verify name=x.test") -> ClusterSection:
    """A cluster section."""
    return ClusterSection(name="c", backends=backend_lines(lines), tls=backend_tls(tls))


class ClusterTlsTests(SynchronousTestCase):
    """Without files."""

    def cluster(self, made: ClusterSection) -> Cluster:
        """Build one whose host name resolves to two addresses."""
        cluster = Cluster(made, random.Random(1))
        cluster.resolved({"api.test:2": tuple((socket.AF_INET, (f"10.1.0.{number}", 2)) for number in (1, 2))})
        return cluster

    def peers(self, cluster: Cluster) -> dict[str, Any]:
        """Return what connections to each backend need."""
        return {backend.id: backend.tls for backend in cluster.backends}

    def test_plain_clusters_have_none(self) -> None:
        """Nor their backends."""
        cluster = self.cluster(section(tls=""))
        self.assertIsNone(cluster.tls)
        self.assertEqual(set(self.peers(cluster).values()), {None})

    def test_whose_name(self) -> None:
        """The section's, or the host's as it was written, not the address that it resolved to."""
        hosts = {name: peer.host for name, peer in self.peers(self.cluster(section())).items()}
        self.assertEqual(set(hosts.values()), {"x.test"})
        cluster = self.cluster(section("10.0.0.1:1 id=a\nApi.Test.:2 id=b\n[::1]:3 id=d", tls="verify"))
        hosts = {name: peer.host for name, peer in self.peers(cluster).items()}
        self.assertEqual(hosts, {"a": "10.0.0.1", "b@10.1.0.1": "api.test", "b@10.1.0.2": "api.test", "d": "::1"})

    def test_what_stays_keeps_its_session(self) -> None:
        """A backend that stays is the same peer, whatever else changes; each address is one of its own."""
        cluster = self.cluster(section())
        before = self.peers(cluster)
        self.assertEqual(len({id(peer) for peer in before.values()}), 4)
        cluster.update(section(LINES + "\n10.0.0.9:1 id=new"))
        after = self.peers(cluster)
        self.assertEqual({name: after[name] for name in before}, before)
        self.assertIs(after["new"].tls, cluster.tls)

    def test_another_tls_begins_anew(self) -> None:
        """Sessions of the old one are not resumed; what was counted is."""
        cluster = self.cluster(section())
        before = self.peers(cluster)
        counts = cluster.handshakes
        counts.results["ok"] = 7
        cluster.update(section(tls="verify name=y.test"))
        after = self.peers(cluster)
        for name, peer in after.items():
            self.assertIsNot(peer, before[name])
            self.assertEqual((peer.host, peer.tls.counts.results["ok"]), ("y.test", 7))
        cluster.update(section(tls=""))
        self.assertEqual(set(self.peers(cluster).values()), {None})
        self.assertIs(cluster.handshakes, counts)

    def test_files_that_cannot_be_used_change_nothing(self) -> None:
        """The old section stays in force."""
        cluster = self.cluster(section())
        before = cluster.section, cluster.tls, self.peers(cluster)
        self.assertRaises(ValueError, cluster.update, section("10.0.0.9:1 id=new", tls="verify ca=/none.pem"))
        self.assertEqual((cluster.section, cluster.tls, self.peers(cluster)), before)
