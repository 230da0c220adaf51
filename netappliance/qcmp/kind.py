"""``[qcmp NAME]`` as a plug-in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind
from netappliance.qcmp.section import QcmpSection

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class QcmpKind:
    """A ping service."""

    kind = "qcmp"
    named = True
    stage = "traffic"
    schema = QcmpSection

    def check(self, section: QcmpSection, configuration: Configuration) -> Iterable[ConfigProblem]:
        """Nothing depends on other sections."""
        return ()

    def make_service(self, section: QcmpSection, appliance: Appliance) -> IService:
        """Build it."""
        from netappliance.qcmp.service import QcmpCollector, QcmpService

        service = QcmpService(section, appliance.poller)
        appliance.collectors.append(QcmpCollector(service))
        return service
