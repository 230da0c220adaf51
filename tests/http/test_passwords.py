"""Stored passwords: the forms, what they cost, and what never matches."""

from __future__ import annotations

import base64
import hashlib

import bcrypt
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.passwords import BCRYPT_BYTES, MAX_COST_MS, stored_password

SALT = b"0123456789abcdef"


def b64(data: bytes) -> str:
    """Without padding."""
    return base64.b64encode(data).decode().rstrip("=")


def hashes(password: bytes) -> dict[str, str]:
    """One of each form, cheap ones."""
    scrypt = hashlib.scrypt(password, salt=SALT, n=16, r=8, p=1, dklen=32)
    pbkdf2 = hashlib.pbkdf2_hmac("sha256", password, SALT, 10)
    return {
        "bcrypt": bcrypt.hashpw(password, bcrypt.gensalt(4)).decode(),
        "scrypt": f"$scrypt$ln=4,r=8,p=1${b64(SALT)}${b64(scrypt)}",
        "pbkdf2": f"$pbkdf2-sha256$10${b64(SALT)}${b64(pbkdf2).replace('+', '.')}",
        "sha256": hashlib.sha256(password).hexdigest(),
    }


class FormTests(SynchronousTestCase):
    """Each form."""

    def test_the_password_matches_and_others_do_not(self) -> None:
        """In every form, UTF-8 or not."""
        for password in (b"secret", "pässwörd".encode(), b"\xff:x"):
            for scheme, text in hashes(password).items():
                stored = stored_password(text)
                self.assertEqual(stored.scheme, scheme)
                self.assertTrue(stored.matches(password), scheme)
                for other in (b"", password + b"x", password[:-1], b"Secret"):
                    self.assertFalse(stored.matches(other), scheme)

    def test_htpasswd_s_bcrypt_is_known(self) -> None:
        """It writes $2y$."""
        text = hashes(b"secret")["bcrypt"].replace("$2b$", "$2y$")
        self.assertTrue(stored_password(text).matches(b"secret"))

    def test_what_bcrypt_does_not_see_cannot_match(self) -> None:
        """Bytes beyond 72, and what follows a NUL."""
        stored = stored_password(hashes(b"x" * BCRYPT_BYTES)["bcrypt"])
        self.assertTrue(stored.matches(b"x" * BCRYPT_BYTES))
        self.assertFalse(stored.matches(b"x" * BCRYPT_BYTES + b"y"))
        self.assertFalse(stored_password(hashes(b"a b")["bcrypt"]).matches(b"a\0b"))

    def test_plain_and_broken_ones_are_refused(self) -> None:
        """With the forms that there are."""
        salt, digest = b64(SALT), b64(b"x" * 32)
        for text in (
            "",
            "secret",
            "$1$salt$hash",
            "$apr1$x$y",
            "a" * 63,
            "$2b$04$short",
            f"$scrypt$ln=4,r=8${salt}${digest}",
            f"$scrypt$ln=4,r=8,p=1${salt}$AAAA",
            f"$pbkdf2-sha256$0${salt}${digest}",
            f"$pbkdf2-sha256$10${salt}$A",
        ):
            self.assertRaises(ValueError, stored_password, text)

    def test_what_takes_too_long_is_refused(self) -> None:
        """The process that would check it serves others too; memory counts as well."""
        bcrypt_text = hashes(b"x")["bcrypt"]
        salt, digest = b64(SALT), b64(b"x" * 32)
        for text, word in (
            (bcrypt_text.replace("$04$", "$13$"), "at most"),
            (f"$pbkdf2-sha256$9000000${salt}${digest}", "at most"),
            (f"$scrypt$ln=20,r=8,p=1${salt}${digest}", "memory"),
            (f"$scrypt$ln=15,r=8,p=9${salt}${digest}", "at most"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, stored_password, text)))
        for text in (
            bcrypt_text.replace("$04$", "$12$"),
            f"$scrypt$ln=15,r=8,p=1${salt}${digest}",
            f"$pbkdf2-sha256$600000${salt}${digest}",
        ):
            self.assertLessEqual(stored_password(text).cost_ms, MAX_COST_MS)

    @given(st.text(max_size=100))
    @settings(deadline=None, max_examples=200)
    def test_any_text_is_a_hash_or_a_value_error(self, text: str) -> None:
        """An operator's slip is no traceback."""
        try:
            stored_password(text)
        except ValueError:
            pass
