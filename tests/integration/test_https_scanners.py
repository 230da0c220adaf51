"""Scanners find nothing in the default settings; ``make soak`` has testssl.sh's whole run."""

from __future__ import annotations

from pathlib import Path

from tests.integration import tls_scanners
from tests.integration.http_support import HttpProxyTestCase, response
from tests.integration.transports import Tls


class ScannerTests(HttpProxyTestCase):
    """With nothing but a directory of certificates in the section."""

    def start(self, keys: str = "") -> Path:
        """Start a proxy; where its authority's certificate is."""
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        tls_scanners.write_site(folder)
        self.transport = Tls(f"certificates = {folder}/served\n")
        self.front(self.backend(response(b"hello")), keys=keys)
        return folder / "ca.pem"

    def test_testssl(self) -> None:
        """Nothing above informational."""
        program = tls_scanners.testssl_program()
        if program is None:
            self.skipTest("testssl.sh is not installed")
        authority = self.start()
        self.assertEqual(tls_scanners.testssl(program, self.port, authority, tls_scanners.QUICK), [])

    def test_mozilla(self) -> None:
        """sslyze: the default is intermediate, and modern is modern."""
        if not tls_scanners.SSLYZE.exists():
            self.skipTest("sslyze is not installed")
        for profile, keys in (("intermediate", ""), ("modern", "tls_profile = modern\n")):
            authority = self.start(keys)
            said = tls_scanners.sslyze(self.port, authority, profile)
            self.assertIn(f"localhost:{self.port}: OK - Compliant.", said)
