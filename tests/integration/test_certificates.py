"""Certificates of a running proxy: replaced while clients come and go, bad files, the start without."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL

from tests.certificates import Authority, Credentials, write_private
from tests.integration.support import BUDGET_S, Proxy, ProxyTestCase, free_ports, wait_for
from tests.tls.certificates.test_ocsp import HOUR, response
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
        return leaf.certificate.fingerprint(SHA256()).hex()

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

    def stapled(self, ciphers: bytes) -> bytes:
        """Return the OCSP response that a client gets which takes these ciphers; empty for none."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(ciphers)
        got: list[bytes] = []

        def take(_: SSL.Connection, staple: bytes, __: object) -> bool:
            got.append(staple)
            return True

        context.set_ocsp_client_callback(take)
        with socket.create_connection(("127.0.0.1", self.port), BUDGET_S) as plain:
            plain.settimeout(None)
            client = SSL.Connection(context, plain)
            client.set_tlsext_host_name(b"a.test")
            client.request_ocsp()
            client.set_connect_state()
            client.do_handshake()
            client.shutdown()
        return got[0]

    def test_ocsp(self) -> None:
        """Each certificate has the response of its own file; one that is replaced is taken up."""
        issuer = Authority("issuer", issuer=ROOT)
        ecdsa, rsa = issuer.leaf("a.test"), issuer.leaf("a.test", kind="rsa")
        self.write(ecdsa)
        self.write(rsa, "r.pem")
        responses = {name: response(leaf, issuer=issuer) for name, leaf in (("a", ecdsa), ("r", rsa))}
        for name, data in responses.items():
            (self.directory / f"{name}.ocsp").write_bytes(data)
        proxy = self.start()
        self.assertEqual(self.stapled(b"ECDHE-ECDSA-AES128-GCM-SHA256"), responses["a"])
        self.assertEqual(self.stapled(b"ECDHE-RSA-AES128-GCM-SHA256"), responses["r"])
        renewed = response(rsa, issuer=issuer, ends=2 * HOUR)
        (self.directory / "r.ocsp").write_bytes(renewed)
        (self.directory / "a.ocsp").unlink()
        wait_for(lambda: proxy.metric("certificate_changes_total") == 1, "the change")
        self.assertEqual(self.stapled(b"ECDHE-ECDSA-AES128-GCM-SHA256"), b"")
        self.assertEqual(self.stapled(b"ECDHE-RSA-AES128-GCM-SHA256"), renewed)

    def test_a_warning_at_the_start(self) -> None:
        """Of one that has expired, which is served all the same."""
        self.write(ROOT.leaf("b.test", starts=timedelta(days=-9), ends=timedelta(days=-1)), "b.pem")
        proxy = self.start()
        self.assertIn("[https web] certificate b.pem expired on", proxy.log())
