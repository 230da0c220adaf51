"""``/acme``: how the certificates of ``[acme]`` stand, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netappliance.acme.service import utc
from netappliance.admin.site import Page

if TYPE_CHECKING:
    from netappliance.acme.certificate import Certificate
    from netappliance.acme.service import AcmeService

PATH = "/acme"


def acme_page(service: AcmeService) -> Page:
    """Return the page."""

    def answer(_request: object) -> bytes:
        return json.dumps(state_of(service), indent=1).encode() + b"\n"

    return Page(answer, "certificates of [acme]: state, next attempt, last failure", b"application/json")


def state_of(service: AcmeService) -> dict[str, Any]:
    """Return what the page shows."""
    now = service.now()
    return {
        "directory": service.section.directory,
        "challenge": service.section.challenge,
        "store": service.section.store,
        "orders": service.orders,
        "certificates": [_row(each, now, ordering=service.ordering is each) for each in service.certificates],
    }


def _row(certificate: Certificate, now: float, *, ordering: bool) -> dict[str, Any]:
    schedule, failure = certificate.schedule, certificate.last_failure
    return {
        "name": certificate.name,
        "names": list(certificate.names),
        "state": certificate.state(now),
        "expires": _time(certificate.expires),
        "ordering": ordering,
        "next_attempt": _time(schedule.next_at) or "now",
        "failures": schedule.failures,
        "last_success": _time(certificate.last_success),
        "last_failure": {"at": utc(failure[0]), "result": failure[1], "why": failure[2]} if failure else None,
    }


def _time(seconds: float) -> str | None:
    return utc(seconds) if seconds else None
