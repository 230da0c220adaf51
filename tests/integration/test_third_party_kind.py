"""A distribution that adds a section kind, met by a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_loader import THIRD_PARTY
from tests.integration.support import BUDGET_S, RUN

ROOT = Path(__file__).resolve().parents[2]


class ThirdPartyKindTests(SynchronousTestCase):
    """``netappliance/plugins/beacon_plugin.py`` in a folder of its own on the path, without ``__init__.py``."""

    def setUp(self) -> None:
        self.folder = Path(mkdtemp())
        package = self.folder / "site" / "netappliance" / "plugins"
        package.mkdir(parents=True)
        (package / "beacon_plugin.py").write_text(THIRD_PARTY)

    def check(self, text: str) -> tuple[int, str]:
        """Exit status and output of ``twistd proxy --check`` for a file with this text."""
        config = self.folder / "p.ini"
        config.write_text(text)
        path = os.pathsep.join((str(ROOT), str(self.folder / "site")))
        done = subprocess.run(
            [sys.executable, "-c", RUN, "-n", "--pidfile=", "proxy", "--check", "--config", str(config)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=BUDGET_S,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def test_its_section_is_part_of_the_effective_configuration(self) -> None:
        """Found on the path, parsed by its schema, printed with its defaults."""
        status, output = self.check("[beacon one]\n")
        self.assertEqual(status, 0, output)
        self.assertIn("[beacon one]\nevery = 5s\n", output)

    def test_its_keys_are_checked_like_ours(self) -> None:
        """An unknown key and an unknown section end with status 1, a suggestion each, and no traceback."""
        status, output = self.check("[beacon one]\nevry = 7s\n[becon two]\n")
        self.assertEqual(status, 1, output)
        self.assertIn("[beacon one] evry: unknown key; did you mean 'every'?", output)
        self.assertIn("[becon two] unknown section; did you mean 'beacon'?", output)
        self.assertNotIn("Traceback", output)
