"""``hash-password``: the lines that it writes."""

from __future__ import annotations

import io
import sys

from twisted.trial.unittest import SynchronousTestCase

from netappliance.cli import hash_password
from netappliance.http.passwords import stored_password


class CommandTests(SynchronousTestCase):
    """python -m netappliance hash-password."""

    def run_with(self, arguments: list[str], typed: str) -> tuple[int, str]:
        """Exit status and standard output."""
        out = io.StringIO()
        self.patch(sys, "stdin", io.StringIO(typed))
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", io.StringIO())
        return hash_password.main(arguments), out.getvalue()

    def test_it_writes_a_line_that_basic_auth_reads(self) -> None:
        """From standard input where there is no terminal."""
        status, line = self.run_with(["alice"], "s3cret\n")
        name, _, stored = line.strip().partition(":")
        self.assertEqual((status, name), (0, "alice"))
        self.assertTrue(stored_password(stored).matches(b"s3cret"))

    def test_wrong_use_ends_with_a_status(self) -> None:
        """No user, no password."""
        self.assertEqual(self.run_with([], "x\n"), (2, ""))
        for user in ("a:b", "a b", "#a", ""):
            self.assertEqual(self.run_with([user], "x\n"), (2, ""), user)
        self.assertEqual(self.run_with(["alice"], "\n"), (1, ""))
