"""The bearer token."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.token import TokenGuard, load_token
from netappliance.errors import StartError

TOKEN = b"correct-horse-battery"


class TokenTests(SynchronousTestCase):
    """Guard and file."""

    def test_the_token_opens(self) -> None:
        """The scheme's case does not matter, the token's does."""
        guard = TokenGuard(TOKEN)
        self.assertTrue(guard.allows(b"Bearer " + TOKEN))
        self.assertTrue(guard.allows(b"bearer   " + TOKEN + b" "))
        for wrong in (None, b"", b"Bearer", TOKEN, b"Basic " + TOKEN, b"Bearer " + TOKEN.upper(), b"Bearer \xff\xfe"):
            self.assertFalse(guard.allows(wrong), wrong)

    def test_without_a_token_everybody_is_trusted(self) -> None:
        """On loopback or a unix socket the token is optional."""
        self.assertTrue(TokenGuard(None).allows(None))

    def test_file(self) -> None:
        """One line for the owner and group only."""
        path = Path(self.mktemp())
        path.write_bytes(TOKEN + b"\n")
        path.chmod(0o640)
        self.assertEqual(load_token(str(path)), TOKEN)

    def test_doubtful_files(self) -> None:
        """Missing, public, short, long, several lines: no start."""
        path = Path(self.mktemp())
        self.assertRaises(StartError, load_token, str(path))
        for content, mode in (
            (TOKEN, 0o644),
            (b"short", 0o600),
            (b"", 0o600),
            (b"x" * 5000, 0o600),
            (TOKEN + b"\n" + TOKEN, 0o600),
            (TOKEN + b"\x00", 0o600),
        ):
            path.write_bytes(content)
            path.chmod(mode)
            self.assertRaises(StartError, load_token, str(path))
