"""``[cluster NAME]`` as a plug-in, and what sections that name a cluster check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from zope.interface import implementer

from netappliance.clusters.section import ClusterSection
from netappliance.config.answer_files import check_answers
from netappliance.config.schema import suggestion
from netappliance.errors import ConfigProblem
from netappliance.interfaces import ISectionKind
from netappliance.tls.to_backends.section import check_backend_tls

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration


@implementer(ISectionKind)
class ClusterKind:
    """``[cluster NAME]``."""

    kind = "cluster"
    named = True
    schema = ClusterSection

    def check(self, section: ClusterSection, configuration: Configuration) -> Iterable[ConfigProblem]:
        """The files of ``answers`` and ``tls`` must be usable, and the attributes of the sticky cookie go together."""
        check = section.health_check
        if check is not None and check.kind == "udp" and any(backend.path for backend in section.backends):
            why = "there is no udp to the unix sockets of the cluster"
            yield ConfigProblem(f"cluster {section.name}", "health_check", why, check.kind, "http | tcp")
        if section.sticky_cookie:
            yield from _check_sticky(section)
        hosts = [(backend.id, backend.host) for backend in section.backends]
        yield from check_backend_tls(f"cluster {section.name}", section.tls, hosts)
        yield from check_answers(f"cluster {section.name}", section.answers)


def _check_sticky(section: ClusterSection) -> Iterator[ConfigProblem]:
    title, name = f"cluster {section.name}", section.sticky_cookie
    if section.sticky_same_site == "none" and section.sticky_secure == "no":
        why = "browsers throw away a cookie with SameSite=None that is not Secure"
        yield ConfigProblem(title, "sticky_same_site", why, "none", "sticky_secure = auto | yes")
    if name.startswith(("__Secure-", "__Host-")) and section.sticky_secure != "yes":
        why = f"browsers take {name} with Secure only"
        yield ConfigProblem(title, "sticky_secure", why, section.sticky_secure, "yes")
    if name.startswith("__Host-") and section.sticky_path != "/":
        yield ConfigProblem(title, "sticky_path", f"browsers take {name} with Path=/ only", section.sticky_path, "/")
    if 0 < section.sticky_max_age_s < 1:
        yield ConfigProblem(title, "sticky_max_age", "cookies live for whole seconds", None, "at least 1s, or 0")


def check_cluster(title: str, key: str, name: str, configuration: Configuration) -> Iterator[ConfigProblem]:
    """Yield a problem when a section names a cluster that the file does not have."""
    known = [section.name for section in configuration.sections("cluster")]
    if name not in known:
        expected = ", ".join(known) or "a [cluster NAME] section"
        yield ConfigProblem(title, key, f"no such cluster{suggestion(name, known)}", name, expected)
