"""Certificates of a running proxy: replaced while clients come and go, bad files, the start without."""

from __future__ import annotations

import hashlib
import ssl
from datetime import timedelta
from pathlib import Path

from tests.certificates import Authority, Credentials, write_private
from tests.integration.support import Proxy, ProxyTestCase, free_ports, wait_for
from tests.tls.visitors import Visitor

ROOT = Authority("root of the tests")


class CertificateTests(ProxyTestCase):
    """Of an [https] section."""

    forked = True

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.write(ROOT.leaf("a.test"))

    def write(self, leaf: Credentials, name: str = "a.pem") -> str:
        """Replace a file as programs for certificates do; the fingerprint of its certificate."""
        aside = self.directory / f".{name}"
        leaf.write(aside)
        aside.rename(self.directory / name)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.chain_pem.decode())).hexdigest()

    def start(self) -> Proxy:
        """Serve them."""
        self.port, backend = free_ports(2)
        return self.proxy(
            f"[https web]\nlisten = tcp:{self.port}:interface=127.0.0.1\ncertificates = {self.directory}\n"
            f"[route all]\nlisteners = web\ncluster = demo\n[cluster demo]\nbackends = 127.0.0.1:{backend}\n"
            f"[demo]\nhttp = tcp:{backend}:interface=127.0.0.1\ntcp_echo =\nudp_echo =\n"
        )

    def test_replaced_under_load(self) -> None:
        """No handshake fails, no connection breaks; who comes later is shown the new one."""
        proxy = self.start()
        visitors = [Visitor(self.port, manner, ROOT) for manner in ("stays", "comes", "resumes")]
        for visitor in visitors:
            visitor.start()
        written = [self.write(ROOT.leaf("a.test"))]
        wait_for(lambda: proxy.metric("certificate_changes_total") == 1, "the first change")
        written.append(self.write(ROOT.leaf("a.test")))
        wait_for(lambda: proxy.metric("certificate_changes_total") == 2, "the second change")
        wait_for(lambda: written[1] in visitors[1].shown, "the second certificate")
        for visitor in visitors:
            visitor.leave()
        self.assertEqual(len(visitors[0].shown), 1)
        self.assertLessEqual(set(written), visitors[1].shown)
        self.assertGreater(visitors[2].resumed, 0)
        self.assertEqual(proxy.metric("tls_handshakes_total", result="ok"), proxy.metric("tls_handshakes_total"))

    def test_a_bad_file(self) -> None:
        """Told and counted; the old certificate is served, and the expiry of the one in force is shown."""
        proxy = self.start()
        write_private(self.directory / "a.pem", ROOT.leaf("a.test").chain_pem)
        wait_for(lambda: proxy.metric("certificate_bad_files", listener="web") == 1, "the bad file")
        self.assertIn(f"[https web] certificates: {self.directory}/a.pem: holds no private key", proxy.log())
        self.assertEqual(proxy.metric("certificate_refusals_total", reason="no_key"), 1)
        self.assertGreater(proxy.metric("certificate_expires_timestamp_seconds", listener="web"), 1e9)
        visitor = Visitor(self.port, "comes", ROOT)
        visitor.start()
        wait_for(lambda: visitor.answers > 2, "answers")
        visitor.leave()

    def test_a_warning_at_the_start(self) -> None:
        """Of one that has expired, which is served all the same."""
        self.write(ROOT.leaf("b.test", starts=timedelta(days=-9), ends=timedelta(days=-1)), "b.pem")
        proxy = self.start()
        self.assertIn("[https web] certificate b.pem expired on", proxy.log())
