"""The service of a listener that ends TLS, and what follows its certificates beside it."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService, MultiService

from netappliance.tls.certificates.selection import Selection
from netappliance.tls.certificates.watch import CertificateWatch
from netappliance.tls.server import TlsServer


def following(service: IService, server: TlsServer, reactor: Any) -> MultiService:
    """
    Return both as one service of the same name.

    :param service: listens. :param server: ends TLS for it; what it shows follows the files.
    """

    def swap(selection: Selection) -> None:
        server.selection = selection

    watch = CertificateWatch(
        server.label,
        server.certificates,
        server.select,
        swap,
        reactor,
        default=server.keys.default_certificate,
        may_be_empty=server.may_be_empty,
    )
    both = MultiService()
    both.setName(service.name)
    service.setServiceParent(both)
    watch.setServiceParent(both)
    return both
