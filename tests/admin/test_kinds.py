"""[admin], [manhole] and [demo] as section kinds."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance.admin.kinds import AdminKind, ManholeKind
from netappliance.admin.section import AdminSection
from netappliance.config import values
from netappliance.demo.kind import DemoKind
from netappliance.interfaces import IServiceKind


def check(**changes: Any) -> list[Any]:
    """Problems of an [admin] section."""
    listen = changes.pop("listen", None)
    if listen is not None:
        changes["listen"] = values.stream_endpoints(listen)
    return list(AdminKind().check(AdminSection(**changes), None))  # type: ignore[arg-type]


class KindTests(SynchronousTestCase):
    """What the configuration is told about the sections."""

    def test_kinds_provide_the_plug_point(self) -> None:
        """All three are unnamed service kinds."""
        for kind in (AdminKind(), ManholeKind(), DemoKind()):
            verifyObject(IServiceKind, kind)
            self.assertFalse(kind.named)

    def test_loopback_and_unix_need_no_token(self) -> None:
        """Only this host's users reach them."""
        for listen in ("tcp:1:interface=127.0.0.1", "tcp:1:interface=127.9.9.9", "unix:/run/x:mode=660",
                       "tcp:1:interface=\\:\\:1"):  # fmt: skip
            self.assertEqual(check(listen=listen), [], listen)

    def test_other_addresses_need_a_token(self) -> None:
        """All interfaces or an outer address without token_file is an error that names the listener."""
        for listen in ("tcp:1", "tcp:1:interface=0.0.0.0", "tcp:1:interface=192.0.2.1",
                       "tcp:1:interface=127.0.0.1, tcp:2:interface=192.0.2.1"):  # fmt: skip
            (problem,) = check(listen=listen)
            self.assertEqual((problem.section, problem.key), ("admin", "token_file"))
            self.assertEqual(check(listen=listen, token_file="/x"), [])
