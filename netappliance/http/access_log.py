"""A line of the access log for each request."""

from __future__ import annotations

from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii as quote

from netappliance.http import fields
from netappliance.http.record import Record, RequestLog
from netappliance.logs.access_log import AccessLog, bare, notes_text
from netappliance.sessions.reasons import SHUTDOWN, haproxy_letters
from netappliance.sessions.session import format_address

#: characters of a request's target, host and such that go into a line
MAX_TEXT = 2048


class AccessLogLines(RequestLog):
    """Writes a line for each request, in the log's format."""

    def __init__(self, log: AccessLog) -> None:
        self._log = log
        self._make = json_line if log.log_format == "json" else common_line

    def write(self, record: Record, seconds: float) -> None:
        """Write the line of an exchange that lasted so long."""
        log = self._log
        log.put(self._make(record, log.wall() - seconds, seconds))


def _text(value: bytes) -> str:
    return quote(value[:MAX_TEXT].decode("latin-1"))


def _origin(record: Record) -> str:
    """Return the address of the client behind a trusted proxy, as that told it; empty for others."""
    identity, request = record.session.identity, record.request
    return identity.believed(request) if identity is not None and identity.trusted and request is not None else ""


def json_line(record: Record, started: float, seconds: float) -> str:
    """
    Return one JSON object with a fixed order of fields; all that is not printable ASCII is escaped.

    :param started: seconds since the epoch. Durations are seconds, bytes are of this request alone; ``request_s`` is
        the time that the head took to come, ``status`` 0 when none was sent.
    """
    session, request, route = record.session, record.request, record.route
    reason = record.reason or SHUTDOWN
    side, phase, cause = reason
    date = datetime.fromtimestamp(started, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    notes = notes_text(record.notes) if record.notes else ""
    origin = _origin(record)
    told = f'"origin":{quote(origin)},' if origin else ""
    request_s = max(0.0, record.started - session.head_began)
    asked = (
        ""
        if request is None
        else (
            f'"method":{_text(request.method)},"host":{_text(request.authority)},"target":{_text(request.target)},'
            f'"version":"1.{request.minor}",'
        )
    )
    tls = session.tls.log_text() if session.tls is not None else ""
    return (
        f'{{"id":{session.id},"kind":{quote(record.kind)},"listener":{quote(session.listener)},'
        f'"client":{quote(format_address(session.client))},{told}"local":{quote(format_address(session.local))},'
        f'"request_id":{_text(record.request_id)},{tls}{asked}"status":{record.status},'
        f'"route":{quote(route.name if route is not None else "")},'
        f'"cluster":{quote(route.cluster if route is not None else "")},'
        f'"backend":{quote(record.backend.id if record.backend is not None else "")},'
        f'"start":"{date}Z","duration_s":{seconds:.6f},"request_s":{request_s:.6f},"connect_s":{record.connect_s:.6f},'
        f'"first_byte_s":{record.first_byte_s:.6f},"rx_bytes":{record.rx_bytes},'
        f'"tx_bytes":{record.tx_bytes},"sent_bytes":{record.sent_bytes},'
        f'"retries":{record.retries},"side":"{side.value}","phase":"{phase.value}","cause":"{cause.value}",'
        f'"code":"{haproxy_letters(reason)}"{notes}}}\n'
    )


def common_line(record: Record, started: float, seconds: float) -> str:
    """
    Return a line of the NCSA combined log format, followed by duration, route, cluster/backend, request id, reason.

    The client of a trusted proxy's request is the one that it told, the user the one of basic_auth. Referer and
    User-Agent are those of the request, ``-`` when absent.
    """
    session, request, route = record.session, record.request, record.route
    date = datetime.fromtimestamp(int(started), timezone.utc).strftime("%d/%b/%Y:%H:%M:%S +0000")
    what, referer, agent = '"-"', '"-"', '"-"'
    if request is not None:
        what = _text(b"%b %b HTTP/1.%d" % (request.method, request.target[:MAX_TEXT], request.minor))
        referer = _text(fields.get(request.lines, b"referer") or b"-")
        agent = _text(fields.get(request.lines, b"user-agent") or b"-")
    user = bare(str((record.notes or {}).get("user", ""))) or "-"
    backend = record.backend.id if record.backend is not None else "-"
    name, cluster = ("-", "-") if route is None else (bare(route.name), bare(route.cluster) or "-")
    return (
        f"{_origin(record) or bare(session.client[0]) or '-'} - {user} [{date}] {what} {record.status} "
        f"{record.sent_bytes} {referer} {agent} {seconds:.3f} {name} {cluster}/{bare(backend)} "
        f"{record.request_id.decode('latin-1')} {record.reason or SHUTDOWN}\n"
    )
