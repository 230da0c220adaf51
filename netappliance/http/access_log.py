"""A line of the access log for each request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii as quote
from typing import Final

from netappliance.http import fields
from netappliance.http.record import Record, RequestLog
from netappliance.http.routing.route import Route
from netappliance.http.streams.session import HttpSession
from netappliance.logs.access_log import AccessLog, bare, notes_text
from netappliance.logs.dates import Milliseconds
from netappliance.sessions.reasons import SHUTDOWN, CloseReason, haproxy_letters
from netappliance.sessions.session import format_address

#: characters of a request's target, host and such that go into a line
MAX_TEXT = 2048


class AccessLogLines(RequestLog):
    """Writes a line for each request, in the log's format."""

    def __init__(self, log: AccessLog) -> None:
        self._put: Callable[[str], None] = log.put
        self._wall: Callable[[], float] = log.wall
        self._json = JsonLines() if log.log_format == "json" else None

    def write(self, record: Record, seconds: float) -> None:
        """Write the line of an exchange that lasted so long."""
        lines, started = self._json, self._wall() - seconds
        self._put(common_line(record, started, seconds) if lines is None else lines.line(record, started, seconds))


def _text(value: bytes) -> str:
    return quote(value[:MAX_TEXT].decode("latin-1"))


def _origin(record: Record) -> str:
    """Return the address of the client behind a trusted proxy, as that told it; empty for others."""
    identity, request = record.session.identity, record.request
    return identity.believed(request) if identity is not None and identity.trusted and request is not None else ""


class JsonLines:
    """
    One JSON object with a fixed order of fields for each request; all that is not printable ASCII is escaped.

    What is the same for all requests of a session, to a route or with an ending is made once.
    """

    def __init__(self) -> None:
        self._dates = Milliseconds()
        self._reason: CloseReason | None = None
        self._reason_text = ""

    def line(self, record: Record, started: float, seconds: float) -> str:
        """
        Return the line with its newline.

        :param started: seconds since the epoch. Durations are seconds, bytes are of this request alone; ``request_s``
            is the time that the head took to come, ``status`` 0 when none was sent.
        """
        session, request, route, backend = record.session, record.request, record.route, record.backend
        texts = session.log_texts
        if texts is None:
            texts = session.log_texts = _of_session(session)
        reason = record.reason or SHUTDOWN
        if reason is not self._reason:
            self._reason, self._reason_text = reason, _of_reason(reason)
        kind = session.kind if record.status != 101 else record.kind
        origin = _origin(record) if session.identity is not None and session.identity.trusted else ""
        told = f'"origin":{quote(origin)},' if origin else ""
        asked = (
            ""
            if request is None
            else (
                f'"method":{_text(request.method)},"host":{_text(request.authority)},"target":{_text(request.target)},'
                f'"version":"1.{request.minor}",'
            )
        )
        tls = session.tls.log_text() if session.tls is not None else ""
        notes = notes_text(record.notes) if record.view is not None and record.notes else ""
        return (
            f'{{"id":{session.id},"kind":"{kind}",{texts[0]}{told}{texts[1]}{_text(record.request_id)},{tls}{asked}'
            f'"status":{record.status},{_NO_ROUTE if route is None else route.log_text or _of_route(route)}'
            f'{quote(backend.id) if backend is not None else _EMPTY},"start":"{self._dates.text(started)}",'
            f'"duration_s":{_seconds(seconds)},"request_s":{_seconds(record.started - session.head_began)},'
            f'"connect_s":{_seconds(record.connect_s)},"first_byte_s":{_seconds(record.first_byte_s)},'
            f'"rx_bytes":{record.rx_bytes},"tx_bytes":{record.tx_bytes},"sent_bytes":{record.sent_bytes},'
            f'"retries":{record.retries},{self._reason_text}{notes}}}\n'
        )


_EMPTY: Final = '""'
_NO_ROUTE: Final = '"route":"","cluster":"","backend":'


def _seconds(value: float) -> str:
    # compiled, an f-string with a format costs three times as much
    return format(value, ".6f") if value > 0.0 else "0.000000"


def _of_session(session: HttpSession) -> tuple[str, str]:
    return (
        f'"listener":{quote(session.listener)},"client":{quote(format_address(session.client))},',
        f'"local":{quote(format_address(session.local))},"request_id":',
    )


def _of_route(route: Route) -> str:
    route.log_text = text = f'"route":{quote(route.name)},"cluster":{quote(route.cluster)},"backend":'
    return text


def _of_reason(reason: CloseReason) -> str:
    side, phase, cause = reason
    return f'"side":"{side.value}","phase":"{phase.value}","cause":"{cause.value}","code":"{haproxy_letters(reason)}"'


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
