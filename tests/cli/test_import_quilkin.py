"""A quilkin.yaml becomes a configuration that loads, or its rest is named."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import mkdtemp

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.cli.commands import main as command
from netappliance.cli.import_quilkin import Importer
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load

YAML = """
version: v1alpha1
id: my-proxy
qcmp_port: 7600
clusters:
  - locality: {region: europe, zone: west}
    endpoints:
      - address: 127.0.0.1:26000
        metadata: {quilkin.dev: {tokens: [MXg3aWp5Ng==, OGdqM3YyaQ==]}}
  - endpoints:
      - address: "[::1]:26001"
filters:
  - name: quilkin.filters.firewall.v1alpha1.Firewall
    config:
      on_read: [{action: ALLOW, sources: [10.0.0.0/8], ports: ["1000-2001", "53"]}]
      on_write: [{action: ALLOW, sources: ["0.0.0.0/0"], ports: ["26000-26002"]}]
  - name: quilkin.filters.capture.v1alpha1.Capture
    config: {metadataKey: token, suffix: {size: 7, remove: true}}
  - name: quilkin.filters.token_router.v1alpha1.TokenRouter
    config: {metadataKey: token}
  - name: quilkin.filters.match.v1alpha1.Match
    config:
      on_read:
        metadataKey: token
        branches:
          - {value: abc, name: quilkin.filters.pass.v1alpha1.Pass}
        fallthrough: {name: quilkin.filters.drop.v1alpha1.Drop}
  - name: quilkin.filters.local_rate_limit.v1alpha1.LocalRateLimit
    config: {max_packets: 100, period: 2}
  - name: quilkin.filters.concatenate.v1alpha1.Concatenate
    config: {on_read: APPEND, bytes: aGVsbG8=}
  - name: quilkin.filters.compress.v1alpha1.Compress
    config: {mode: LZ4, on_read: COMPRESS, on_write: DECOMPRESS}
  - name: quilkin.filters.load_balancer.v1alpha1.LoadBalancer
    config: {policy: HASH}
  - name: quilkin.filters.timestamp.v1alpha1.Timestamp
    config: {metadataKey: token}
  - name: quilkin.filters.debug.v1alpha1.Debug
    config: {id: here}
"""


class ImportTests(SynchronousTestCase):
    """Translation."""

    def test_a_file_with_every_filter_becomes_one_that_loads(self) -> None:
        """Tokens, localities, filters in order, ranges whose end is inclusive now, the ping service."""
        importer = Importer()
        text = importer.run(yaml.safe_load(YAML), 7777)
        self.assertEqual(importer.left_out, [])
        configuration = load(text, "p.ini", section_kinds())
        cluster, udp = configuration.sections("cluster")[0], configuration.sections("udp")[0]
        self.assertEqual(cluster.backends[0].tokens, (b"1x7ijy6", b"8gj3v2i"))
        self.assertEqual(cluster.backends[0].locality, "europe:west")
        kinds = [configuration.get("filter", name).kind for name in udp.filters]  # type: ignore[union-attr]
        expected = "firewall capture token_router match rate_limit concatenate compress load_balancer timestamp debug"
        self.assertEqual(kinds, expected.split())
        firewall = configuration.get("filter", udp.filters[0])
        assert firewall is not None
        self.assertEqual(firewall.on_read[0].ports, ((1000, 2000), (53, 53)))
        self.assertEqual(configuration.sections("qcmp")[0].listen[0].port, 7600)

    def test_what_cannot_be_carried_over_is_named_with_its_place(self) -> None:
        """And the exit status says so."""
        path = Path(mkdtemp()) / "q.yaml"
        path.write_text(
            "version: v1alpha1\ndatacenters: []\nfilters: [{name: quilkin.filters.odd.v1.Odd}, "
            "{name: quilkin.filters.concatenate.v1alpha1.Concatenate, config: {}}]\n"
            "clusters: [{endpoints: [{address: '127.0.0.1:1', metadata: {color: red}}, 7]}]\n"
        )
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            status = command(["import-quilkin", str(path)])
        self.assertEqual(status, 1)
        for place in ("datacenters", "filters[0]", "filters[1]", "endpoints[0].metadata.color", "endpoints[1]"):
            self.assertIn(place, errors.getvalue())
        self.assertIn("127.0.0.1:1", out.getvalue())

    @settings(deadline=None, max_examples=100)
    @given(
        st.recursive(
            st.one_of(st.none(), st.integers(), st.text(max_size=8)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(
                    st.sampled_from(
                        ["filters", "clusters", "name", "config", "endpoints", "address", "metadata", "suffix"]
                    ),
                    inner,
                    max_size=4,
                ),
            ),
            max_leaves=12,
        )
    )
    def test_no_document_makes_it_raise(self, document: object) -> None:
        """Whatever the YAML holds."""
        self.assertIsInstance(Importer().run(document, 7777), str)
