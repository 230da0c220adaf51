"""A directory as a set of credentials, or everything that is wrong with it."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tls.certificates import files
from netappliance.tls.certificates.directory import CertificateSet, prepare
from netappliance.tls.certificates.refusals import CertificateErrors, Reason, Refusal
from tests.certificates import Authority, Credentials, write_private

ROOT = Authority("root of the tests")
A, B = ROOT.leaf("a.test"), ROOT.leaf("b.test", kind="rsa")


class PrepareTests(SynchronousTestCase):
    """Prepare."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def write(self, name: str, credentials: Credentials) -> Path:
        """Put a file there."""
        return Path(credentials.write(self.directory / name))

    def prepared(self, previous: CertificateSet | None = None, **options: Any) -> CertificateSet:
        """Read it."""
        return prepare(str(self.directory), time.time(), previous, **options)

    def refused(self, **options: Any) -> tuple[str, tuple[Refusal, ...]]:
        """Return what is said, and the refusals."""
        error = self.assertRaises(CertificateErrors, self.prepared, **options)
        return str(error), error.refusals

    def test_files_in_order(self) -> None:
        """And nothing but them."""
        self.write("b.pem", B)
        self.write("a.pem", A)
        for other in (".hidden.pem", ".pem", "a.pem.new", "a.crt", "README"):
            (self.directory / other).write_text("no certificate")
        found = self.prepared()
        self.assertEqual([each.file for each in found.credentials], ["a.pem", "b.pem"])
        self.assertEqual([each.kind for each in found.credentials], ["ecdsa", "rsa"])
        self.assertEqual(found.refusals, ())

    def test_a_local_authority_is_not_served(self) -> None:
        """Neither its certificate nor, for that matter, its key."""
        self.write("a.pem", A)
        write_private(self.directory / "ca.pem", ROOT.pem)
        self.assertEqual([each.file for each in self.prepared().credentials], ["a.pem"])
        self.write("ca.pem", A)
        self.assertEqual([each.file for each in self.prepared().credentials], ["a.pem"])

    def test_symbolic_links(self) -> None:
        """What they lead to counts."""
        target = Path(self.mktemp())
        A.write(target)
        (self.directory / "a.pem").symlink_to(target.absolute())
        self.assertEqual(self.prepared().credentials[0].names, (b"a.test",))

    def test_nothing_there(self) -> None:
        """No directory, or nothing in it, unless that is allowed."""
        text, (refusal,) = self.refused()
        self.assertIn(f"{self.directory}: holds no NAME.pem", text)
        self.assertEqual(refusal.reason, Reason.NO_CERTIFICATE)
        self.assertEqual(self.prepared(may_be_empty=True).credentials, ())
        self.directory.rmdir()
        text, (refusal,) = self.refused()
        self.assertIn(f"{self.directory}: cannot be read: No such file or directory", text)
        self.assertEqual(self.prepared(may_be_empty=True).credentials, ())
        self.directory.write_text("a file")
        text, _ = self.refused(may_be_empty=True)
        self.assertIn("Not a directory", text)

    def test_everything_wrong_is_told_at_once(self) -> None:
        """Each with its file and the reason."""
        self.write("a.pem", A)
        self.write("open.pem", B).chmod(0o640)
        write_private(self.directory / "half.pem", A.pem[:300])
        (self.directory / "folder.pem").mkdir()
        os.mkfifo(self.directory / "pipe.pem")
        (self.directory / "gone.pem").symlink_to("nowhere")
        write_private(self.directory / "large.pem", b"#" * (files.MAX_FILE_BYTES + 1))
        text, refusals = self.refused()
        reasons = {each.file: each.reason.value for each in refusals}
        self.assertEqual(
            reasons,
            {
                "open.pem": "mode",
                "half.pem": "malformed",
                "folder.pem": "unreadable",
                "pipe.pem": "unreadable",
                "gone.pem": "unreadable",
                "large.pem": "too_large",
            },
        )
        self.assertIn(f"{self.directory}/open.pem: its private key is open to others (mode 0640; expected 0600)", text)
        self.assertIn("pipe.pem: is not a regular file", text)
        self.assertIn("gone.pem: cannot be read: No such file", text)

    def test_every_bit_of_the_others_is_one_too_many(self) -> None:
        """Read, write, execute, of the group and of everybody; the owner may do what he likes."""
        path = self.write("a.pem", A)
        for bit in range(6):
            path.chmod(0o600 | 1 << bit)
            self.assertIn(f"mode 0{0o600 | 1 << bit:o}", self.refused()[0])
        for mode in (0o600, 0o400, 0o700):
            path.chmod(mode)
            self.prepared()

    def test_unreadable(self) -> None:
        """A file that may not be read. Root reads everything, so it is somebody else for a moment."""
        self.write("a.pem", A).chmod(0)
        who = os.geteuid()
        os.seteuid(who or 65534)
        self.addCleanup(os.seteuid, who)
        self.assertIn("Permission denied", self.refused()[0])

    def test_expired_ones_are_served(self) -> None:
        """That is a warning."""
        day = timedelta(days=1)
        self.write("a.pem", ROOT.leaf("a.test", starts=-2 * day, ends=-day))
        self.assertEqual(len(self.prepared().credentials), 1)

    def test_control_characters_of_a_name_are_escaped(self) -> None:
        """They come from a directory that others may write."""
        write_private(self.directory / "a\x1b[2J\n.pem", b"")
        self.assertIn("/a\\x1b[2J\\x0a.pem: holds no certificate", self.refused()[0])

    def test_what_did_not_change_stays_the_same_object(self) -> None:
        """Also when its file was written anew, or touched."""
        self.write("a.pem", A)
        self.write("b.pem", B)
        before = self.prepared()
        self.write("a.pem", A)
        self.write("b.pem", ROOT.leaf("b.test"))
        after = self.prepared(before)
        self.assertIs(after.credentials[0], before.credentials[0])
        self.assertIsNot(after.credentials[1], before.credentials[1])

    def test_another_chain_is_another_credential(self) -> None:
        """Its context is another one too."""
        between = Authority("between", issuer=ROOT)
        leaf = between.leaf("a.test")
        self.write("a.pem", leaf)
        before = self.prepared()
        self.write("a.pem", Credentials(leaf.certificate, leaf.key))
        after = self.prepared(before)
        self.assertIsNot(after.credentials[0], before.credentials[0])

    def test_a_bad_file_is_refused_though_a_good_one_was_there(self) -> None:
        """Who asks for a new beginning is told."""
        self.write("a.pem", A)
        before = self.prepared()
        write_private(self.directory / "a.pem", b"")
        error = self.assertRaises(CertificateErrors, self.prepared, before)
        self.assertEqual([each.file for each in error.refusals], ["a.pem"])
