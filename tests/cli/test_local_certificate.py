"""``local-certificate``: what it says and ends with."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netappliance.cli import commands


class CommandTests(SynchronousTestCase):
    """python -m netappliance local-certificate."""

    def run_with(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output and error."""
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", err)
        return commands.main(["local-certificate", *arguments]), out.getvalue(), err.getvalue()

    def test_it_makes_a_certificate_once(self) -> None:
        """And says how it is trusted; the second time there is nothing to say."""
        directory = self.mktemp()
        status, out, err = self.run_with(directory)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, rf"^{directory}/localhost\.pem: for localhost, .*trust it with {directory}/ca\.pem\n$")
        self.assertEqual(self.run_with(directory), (0, "", ""))

    def test_wrong_use_and_failures_end_with_a_status(self) -> None:
        """With the reason."""
        self.assertEqual(self.run_with("a", "b")[0], 2)
        self.assertIn("usage:", self.run_with("--help")[2])
        path = Path(self.mktemp())
        path.write_text("a file")
        status, out, err = self.run_with(str(path))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("cannot make a certificate", err)
