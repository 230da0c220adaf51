"""The manhole's key files: what is accepted, and what stops the start."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.keys import Key
from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.ssh_keys import fingerprint, load_authorized_keys, load_or_make_host_key
from netappliance.errors import StartError


def public_line(key: Key) -> bytes:
    """An authorized_keys line."""
    line: bytes = key.public().toString("openssh")
    return line + b" somebody\n"


ED25519 = Key(Ed25519PrivateKey.generate())


class AuthorizedKeysTests(SynchronousTestCase):
    """load_authorized_keys."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def refused(self, content: bytes | None, mode: int = 0o600) -> str:
        if content is not None:
            self.path.write_bytes(content)
            self.path.chmod(mode)
        error = self.assertRaises(StartError, load_authorized_keys, str(self.path))
        self.assertIn("[manhole] authorized_keys", str(error))
        return str(error)

    def test_keys_and_comments(self) -> None:
        """Ed25519, ECDSA and RSA lines count; blank lines and comments do not."""
        keys = [ED25519, Key(ec.generate_private_key(ec.SECP256R1())), Key(rsa.generate_private_key(65537, 2048))]
        self.path.write_bytes(b"# us\n\n" + b"".join(public_line(key) for key in keys) + b"  # end")
        self.path.chmod(0o644)
        self.assertEqual(load_authorized_keys(str(self.path)), {key.public().blob() for key in keys})

    def test_missing(self) -> None:
        """A file that is not there is named."""
        self.assertIn("No such file", self.refused(None))

    def test_unreadable(self) -> None:
        """A file that may not be read is refused; root reads everything, so root's case is a folder."""
        if os.geteuid() == 0:
            self.path.mkdir()
            self.assertIn("not a regular file", self.refused(None))
        else:
            self.assertIn("Permission denied", self.refused(public_line(ED25519), 0o000))

    def test_a_pipe_does_not_hang(self) -> None:
        """A FIFO in the place of the file is refused at once."""
        os.mkfifo(self.path)
        self.assertIn("not a regular file", self.refused(None))

    def test_empty(self) -> None:
        """No key at all would lock everybody out, which is surely a mistake."""
        self.assertIn("holds no key", self.refused(b""))
        self.assertIn("holds no key", self.refused(b"# nobody\n\n"))

    def test_writable_by_others(self) -> None:
        """Who can write the file can log in."""
        self.assertIn("writable by others", self.refused(public_line(ED25519), 0o664))

    def test_lines_that_are_no_plain_key(self) -> None:
        """Options, private keys, garbage and weak keys are refused with their line number."""
        good = public_line(ED25519)
        weak = Key(rsa.generate_private_key(65537, 1024))
        old = Key(dsa.generate_private_key(1024))
        for bad in (
            b'from="10.0.0.0/8" ' + good,
            b"command=x " + good,
            b"ssh-ed25519\n",
            b"ssh-ed25519 AAAA\n",
            b"\xff\x00\xfe\n",
            ED25519.toString("openssh", subtype="v1"),
            public_line(weak),
            public_line(old),
        ):
            self.assertIn("line 2", self.refused(good + bad), bad)

    def test_too_large(self) -> None:
        """A file beyond any sensible size is not read whole."""
        self.assertIn("larger than", self.refused(b"#" * 300_000))

    def test_fingerprint(self) -> None:
        """Without padding, as OpenSSH prints it."""
        self.assertRegex(fingerprint(ED25519.blob()), r"^SHA256:[A-Za-z0-9+/]{43}$")


class HostKeyTests(SynchronousTestCase):
    """load_or_make_host_key."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "var" / "host"

    def refused(self, content: bytes, mode: int = 0o600) -> str:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content)
        self.path.chmod(mode)
        return str(self.assertRaises(StartError, load_or_make_host_key, str(self.path)))

    def test_made_once(self) -> None:
        """The first start makes folder and key for us alone, and leaves no other file; the next start reads it."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        key = load_or_make_host_key(str(self.path))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.path.parent.stat().st_mode & 0o777, 0o700)
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["host"])
        self.assertEqual(load_or_make_host_key(str(self.path)).blob(), key.blob())

    def test_wider_modes_are_refused(self) -> None:
        """A key that others can read is no secret."""
        good = ED25519.toString("openssh", subtype="v1")
        for mode in (0o640, 0o604, 0o660, 0o644, 0o601):
            self.assertIn("open to others", self.refused(good, mode))

    def test_bad_content_is_refused(self) -> None:
        """Empty, garbage, public, encrypted, RSA: refused, and the file stays as it was."""
        other = Key(rsa.generate_private_key(65537, 2048)).toString("openssh", subtype="v1")
        for content, why in (
            (b"", "not a private key"),
            (b"\x00\xff" * 100, "not a private key"),
            (public_line(ED25519), "a public key"),
            (ED25519.toString("openssh", subtype="v1", passphrase="secret"), "passphrase"),
            (other, "RSA"),
            (ED25519.toString("openssh", subtype="v1")[:-60], "not a private key"),
        ):
            self.assertIn(why, self.refused(content))
            self.assertEqual(self.path.read_bytes(), content)

    def test_a_dangling_link_is_not_followed_into_a_new_key(self) -> None:
        """A symbolic link to nowhere is an error, not a place to write a secret."""
        self.path.parent.mkdir(parents=True)
        self.path.symlink_to("nowhere")
        self.assertRaises(StartError, load_or_make_host_key, str(self.path))
        self.assertFalse((self.path.parent / "nowhere").exists())

    def test_a_folder_that_cannot_be_made(self) -> None:
        """Says so, with the path."""
        self.path.parent.parent.mkdir(parents=True)
        self.path.parent.write_bytes(b"a file")
        error = self.assertRaises(StartError, load_or_make_host_key, str(self.path))
        self.assertIn(str(self.path), str(error))
