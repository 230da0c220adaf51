"""``[acme]`` as a plug-in."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from twisted.application.service import IService
from zope.interface import implementer

from netappliance.acme.section import AcmeSection
from netappliance.errors import ConfigProblem
from netappliance.interfaces import IServiceKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration
    from netappliance.process.appliance import Appliance


@implementer(IServiceKind)
class AcmeKind:
    """Certificates that are ordered and renewed by themselves."""

    kind = "acme"
    named = False
    stage = "support"
    schema = AcmeSection

    def check(self, section: AcmeSection, configuration: Configuration) -> Iterator[ConfigProblem]:
        """Somebody must answer the challenges, and the authority's bundle must be one."""
        ends_tls = configuration.sections("https") + tuple(each for each in configuration.sections("tcp") if each.tls)
        if section.challenge == "http-01" and not configuration.sections("http"):
            why = "nobody would answer: there is no [http NAME] section"
            yield ConfigProblem("acme", "challenge", why, section.challenge, "one that is reached on port 80")
        if section.challenge == "tls-alpn-01" and not ends_tls:
            why = "nobody would answer: there is no [https NAME] section, nor a [tcp NAME] with tls = yes"
            yield ConfigProblem("acme", "challenge", why, section.challenge, "one that is reached on port 443")
        if bool(section.eab_key_id) != bool(section.eab_secret):
            missing = "eab_secret" if section.eab_key_id else "eab_key_id"
            yield ConfigProblem(
                "acme", missing, "the two belong together", None, "eab_key_id and eab_secret, or neither"
            )
        if section.ca:
            try:
                ssl.create_default_context(cafile=section.ca)
            except OSError as error:
                expected = f"PEM certificates: {error.strerror or error}"
                yield ConfigProblem("acme", "ca", "a bundle that cannot be used", section.ca, expected)

    def make_service(self, section: AcmeSection, appliance: Appliance) -> IService:
        """Build it."""
        from netappliance.acme.collector import AcmeCollector
        from netappliance.acme.library import LibraryAuthority
        from netappliance.acme.page import acme_pages
        from netappliance.acme.service import AcmeService
        from netappliance.acme.store import Store
        from netappliance.http.challenges import HttpChallenges
        from netappliance.tls.challenges import TlsAlpnChallenges

        store = Store(section.store)
        authority = LibraryAuthority(section, store)
        by_http = appliance.shared(HttpChallenges, HttpChallenges)
        by_tls = appliance.shared(TlsAlpnChallenges, TlsAlpnChallenges)
        proofs = by_http if section.challenge == "http-01" else by_tls
        service = AcmeService(section, store, authority, proofs, appliance.reactor, appliance.rng)
        appliance.collectors.append(AcmeCollector(service))
        appliance.pages |= acme_pages(service)
        appliance.prompt["acme"] = service
        return service
