"""``[demo]`` as a section kind; the service is imported when the section is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.demo.section import DemoSection
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class DemoKind:
    """``[demo]``."""

    kind = "demo"
    named = False
    stage = "support"
    schema = DemoSection

    def check(self, section: DemoSection, configuration: Configuration) -> Iterable[ConfigProblem]:
        """Nothing depends on other sections."""
        return ()

    def make_service(self, section: DemoSection, appliance: Appliance) -> IService:
        """Build the backends."""
        from netappliance.demo.service import DemoService

        return DemoService(section, appliance.reactor)
