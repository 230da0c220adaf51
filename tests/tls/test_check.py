"""What is wrong with a section's TLS is told with the key that says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.acme.section import AcmeSection
from netappliance.config.configuration import Configuration
from netappliance.tls.check import check_tls
from netappliance.tls.keys import GROUPS, TlsKeys
from tests.certificates import Authority

AUTHORITY = Authority()
LEAF = AUTHORITY.leaf("localhost")


class CheckTests(SynchronousTestCase):
    """A folder with one good certificate, and one thing wrong."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        LEAF.write(self.folder / "localhost.pem")

    def problems(self, *, acme: str = "", **changes: Any) -> list[tuple[str, str]]:
        """Return (key, why) of each; ``acme`` is the store of an [acme] section, if there is one."""
        keys = dataclasses.replace(TlsKeys(certificates=str(self.folder)), **changes)
        configuration = Configuration("f", {("acme", ""): AcmeSection(names=(("a",),), store=acme)} if acme else {}, ())
        return [(problem.key, problem.why) for problem in check_tls("https x", keys, configuration)]

    def test_nothing_is_wrong(self) -> None:
        """With every group that is known, those that this OpenSSL does not have are left out."""
        self.assertEqual(self.problems(groups=tuple(GROUPS)), [])

    def test_certificates(self) -> None:
        """Each bad file is named."""
        (self.folder / "bad.pem").write_text("nothing")
        (self.folder / "bad.pem").chmod(0o600)
        (self.folder / "open.pem").write_bytes(LEAF.pem)
        (self.folder / "open.pem").chmod(0o644)
        found = self.problems()
        self.assertEqual([key for key, _ in found], ["certificates"] * 2)
        self.assertIn("bad.pem", found[0][1])
        self.assertIn("644", found[1][1])

    def test_no_folder(self) -> None:
        """Is a clear error."""
        [(key, why)] = self.problems(certificates=str(self.folder / "none"))
        self.assertEqual(key, "certificates")
        self.assertIn("cannot be read", why)

    def test_what_acme_fills_may_be_empty(self) -> None:
        """Or not be there, nor have the default yet; what is there must be good all the same."""
        none = str(self.folder / "none")
        self.assertEqual(self.problems(certificates=none, acme=f"{none}/", default_certificate="a.pem"), [])
        self.assertEqual(len(self.problems(certificates=none, acme=str(self.folder))), 1)
        (self.folder / "bad.pem").write_text("nothing")
        self.assertEqual(len(self.problems(acme=str(self.folder))), 1)

    def test_the_default_must_be_there(self) -> None:
        """By its file."""
        self.assertEqual(self.problems(default_certificate="other.pem"), [("default_certificate", "no such file")])

    def test_authorities_of_clients(self) -> None:
        """A file that is missing or holds none."""
        for path in (str(self.folder / "none"), str(Path(__file__))):
            self.assertEqual(
                self.problems(client_ca=path), [("client_ca", f"no certificates (PEM) can be read from {path}")]
            )
        self.assertEqual(self.problems(client_ca=AUTHORITY.write(self.folder / "ca.pem")), [])

    def test_no_group_at_all(self) -> None:
        """OpenSSL's own choice is not taken silently."""
        self.assertEqual(self.problems(groups=()), [("groups", "the OpenSSL here has none of these groups")])
