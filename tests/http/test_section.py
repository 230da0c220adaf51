"""What [http NAME] refuses."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors


class SessionHeaderTests(SynchronousTestCase):
    """The field with the connection's id."""

    def test_it_is_a_field_of_its_own(self) -> None:
        """Written twice, or over one that frames the request, the backend would read something else."""
        text = "[http web]\nlisten = tcp:0:interface=127.0.0.1\nsession_header = {}\n"
        for name in ("Content-Length", "transfer-encoding", "Host", "Cookie", "a b", "X-Forwarded-For", "x-real-ip"):
            error = str(self.assertRaises(ConfigErrors, load, text.format(name), "f.ini", section_kinds()))
            self.assertIn("[http web] session_header", error)
        for name in ("", "X-Connection", "X-Real-IP\nidentity_headers = forwarded"):
            load(text.format(name), "f.ini", section_kinds())
