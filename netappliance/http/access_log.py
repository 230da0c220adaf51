"""A line of the access log for each request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING

from netappliance.http import fields
from netappliance.logs.access_log import bare, notes_text
from netappliance.sessions.reasons import SHUTDOWN, haproxy_letters
from netappliance.sessions.session import format_address

if TYPE_CHECKING:
    from netappliance.http.forwarding.forwarding import Forwarding
    from netappliance.logs.access_log import AccessLog

#: characters of a request's target, host and such that go into a line
MAX_TEXT = 2048


def request_line(log: AccessLog | None) -> Callable[[Forwarding, float], None] | None:
    """Return what writes the line of an exchange that lasted so many seconds; None when nothing is logged."""
    if log is None:
        return None
    make = json_line if log.log_format == "json" else common_line

    def write(forwarding: Forwarding, seconds: float) -> None:
        log.put(make(forwarding, log.wall() - seconds, seconds))

    return write


def _text(value: bytes) -> str:
    return quote(value[:MAX_TEXT].decode("latin-1"))


def _origin(forwarding: Forwarding) -> str:
    """Return the address of the client behind a trusted proxy, as that told it; empty for others."""
    identity, request = forwarding.client.identity, forwarding.request
    return identity.believed(request) if identity is not None and identity.trusted and request is not None else ""


def json_line(forwarding: Forwarding, started: float, seconds: float) -> str:
    """
    Return one JSON object with a fixed order of fields; all that is not printable ASCII is escaped.

    :param started: seconds since the epoch. Durations are seconds, bytes are of this request alone; ``request_s`` is
        the time that the head took to come, ``status`` 0 when none was sent.
    """
    client, request, route = forwarding.client, forwarding.request, forwarding.route
    reason = forwarding.reason or SHUTDOWN
    side, phase, cause = reason
    date = datetime.fromtimestamp(started, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    notes = notes_text(forwarding.notes) if forwarding.notes else ""
    origin = _origin(forwarding)
    told = f'"origin":{quote(origin)},' if origin else ""
    request_s = max(0.0, forwarding.started - client.head_began)
    asked = (
        ""
        if request is None
        else (
            f'"method":{_text(request.method)},"host":{_text(request.authority)},"target":{_text(request.target)},'
            f'"version":"1.{request.minor}",'
        )
    )
    return (
        f'{{"id":{client.id},"kind":{quote(forwarding.kind)},"listener":{quote(client.listener)},'
        f'"client":{quote(format_address(client.client))},{told}"local":{quote(format_address(client.local))},'
        f'"request_id":{_text(forwarding.request_id)},{asked}"status":{forwarding.status},'
        f'"route":{quote(route.name if route is not None else "")},'
        f'"cluster":{quote(route.cluster if route is not None else "")},'
        f'"backend":{quote(forwarding.backend.id if forwarding.backend is not None else "")},'
        f'"start":"{date}Z","duration_s":{seconds:.6f},"request_s":{request_s:.6f},"connect_s":{forwarding.connect_s:.6f},'
        f'"first_byte_s":{forwarding.first_byte_s:.6f},"rx_bytes":{forwarding.rx_bytes},'
        f'"tx_bytes":{forwarding.tx_bytes},"sent_bytes":{client.sent - forwarding.sent_before},'
        f'"retries":{forwarding.retries},"side":"{side.value}","phase":"{phase.value}","cause":"{cause.value}",'
        f'"code":"{haproxy_letters(reason)}"{notes}}}\n'
    )


def common_line(forwarding: Forwarding, started: float, seconds: float) -> str:
    """
    Return a line of the NCSA combined log format, followed by duration, route, cluster/backend, request id, reason.

    The client of a trusted proxy's request is the one that it told, the user the one of basic_auth. Referer and
    User-Agent are those of the request, ``-`` when absent.
    """
    client, request, route = forwarding.client, forwarding.request, forwarding.route
    date = datetime.fromtimestamp(int(started), timezone.utc).strftime("%d/%b/%Y:%H:%M:%S +0000")
    what, referer, agent = '"-"', '"-"', '"-"'
    if request is not None:
        what = _text(b"%b %b HTTP/1.%d" % (request.method, request.target[:MAX_TEXT], request.minor))
        referer = _text(fields.get(request.lines, b"referer") or b"-")
        agent = _text(fields.get(request.lines, b"user-agent") or b"-")
    user = bare(str((forwarding.notes or {}).get("user", ""))) or "-"
    backend = forwarding.backend.id if forwarding.backend is not None else "-"
    name, cluster = ("-", "-") if route is None else (bare(route.name), bare(route.cluster) or "-")
    return (
        f"{_origin(forwarding) or bare(client.client[0]) or '-'} - {user} [{date}] {what} {forwarding.status} "
        f"{client.sent - forwarding.sent_before} {referer} {agent} {seconds:.3f} {name} {cluster}/{bare(backend)} "
        f"{forwarding.request_id.decode('latin-1')} {forwarding.reason or SHUTDOWN}\n"
    )
