"""``/acme``: how the certificates of ``[acme]`` stand, as JSON, and an order of one by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.web.server import Request

from netappliance.acme.service import utc
from netappliance.admin.site import Page, refusal

if TYPE_CHECKING:
    from netappliance.acme.certificate import Certificate
    from netappliance.acme.service import AcmeService

PATH = "/acme"
_JSON = b"application/json"


def acme_pages(service: AcmeService) -> dict[str, Callable[[Callable[[Request], bool]], Page]]:
    """Return makers of the pages by path; POST to ``/acme/NAME/order`` orders one, for those who may change state."""

    def make_state(_may_change: Callable[[Request], bool]) -> Page:
        text = "certificates of [acme]: state, next attempt, last failure"
        return Page(lambda _request: json.dumps(state_of(service), indent=1).encode() + b"\n", text, _JSON)

    def make_order(may_change: Callable[[Request], bool]) -> Page:
        return Page(lambda request: _order(request, service, may_change), content_type=_JSON, methods=(b"POST",))

    return {PATH: make_state, PATH + "/*": make_order}


def _order(request: Request, service: AcmeService, may_change: Callable[[Request], bool]) -> bytes:
    if not may_change(request):
        request.setHeader(b"WWW-Authenticate", b'Bearer realm="netappliance"')
        return refusal(request, 401, "the bearer token is needed")
    name, _, what = request.path.decode("ascii", "replace").removeprefix(PATH + "/").partition("/")
    try:
        if what != "order":
            raise KeyError(what)
        service.order_now(name)
    except KeyError:
        return refusal(request, 404, "no such page: POST /acme/NAME/order, with a name that /acme lists")
    return json.dumps({"name": name, "ordering": True}).encode() + b"\n"


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
