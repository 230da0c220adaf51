"""Our own responses: redirects, refusals, errors; as HTML, JSON or text. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from netappliance.config.answer_files import CONTENT_TYPES, MEDIA, REASONS, PageTemplate, Templates, escaped
from netappliance.http import fields
from netappliance.http.message import Answer, Response

#: compiled pages and Accept values that are remembered; when full, all are forgotten (what fills them comes from peers)
REMEMBERED = 256
#: bytes of Accept that are looked at; what is beyond is as if not sent
MAX_ACCEPT = 512

_ORDER = tuple(MEDIA.values())
_PLAIN_ID = re.compile(rb"[A-Za-z0-9_.:+/=-]*")
_QVALUE = re.compile(rb"[01](?:\.\d{0,3})?")
#: fields of an answer that are ours to say
_OURS = frozenset((b"connection", b"content-length", b"keep-alive", b"transfer-encoding"))
_USUAL = b"Cache-Control: no-cache"

_HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$status $reason</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 18vh auto 0; max-width: 34em; padding: 0 1.5em; color: #222;
  background: #fff }
h1 { font-size: 1.6em; font-weight: 600; margin: 0 0 .4em }
p { margin: 0 0 1em }
small { color: #666; font-size: .8em; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616 } small { color: #999 } }
</style>
</head>
<body>
<h1>$status $reason</h1>
<p>$why</p>
<small>Request $request_id</small>
</body>
</html>
"""
_JSON = '{"status": $status, "reason": "$reason", "why": "$why", "request_id": "$request_id", "route": "$route"}\n'
_TEXT = "$status $reason\n$why\nRequest $request_id\n"

#: what people read when the answer itself says nothing
_WHY = {
    301: "The page has moved.",
    302: "The page is elsewhere for now.",
    303: "See the other page.",
    307: "The page is elsewhere for now.",
    308: "The page has moved.",
    400: "The request could not be understood.",
    401: "A user name and a password are needed.",
    403: "Access is not allowed.",
    404: "There is nothing at this address.",
    408: "The request did not come in time.",
    413: "The request's body is too large.",
    414: "The request's address is too long.",
    417: "The request expects what is not done here.",
    421: "This connection does not serve that host.",
    429: "Too many requests; try again later.",
    431: "The request's header fields are too large.",
    500: "Something failed here.",
    501: "The request asks for what is not done here.",
    502: "The server behind this one gave no usable answer.",
    503: "The service is not available; try again later.",
    504: "The server behind this one did not answer in time.",
}


class _Page:
    """A compiled answer: its Content-Type, and its body but for the request id."""

    __slots__ = ("holes", "media", "pieces", "size", "type_line")

    def __init__(self, pieces: list[bytes], media: bytes) -> None:
        self.type_line = b"Content-Type: " + CONTENT_TYPES[media]
        self.pieces = pieces
        self.holes = len(pieces) - 1
        self.size = sum(map(len, pieces))
        self.media = media


class Answers:
    """
    Renders answers.

    :param listener: templates of the listener. :param clusters: cluster -> its templates; they come before the
        listener's, and those before the built-in ones (HTML, JSON, text).
    """

    def __init__(self, listener: Templates | None = None, clusters: Mapping[str, Templates] | None = None) -> None:
        self._listener = listener or {}
        self._clusters = dict(clusters or {})
        self._builtin = {
            b"text/html": PageTemplate(_HTML, b"text/html"),
            b"application/json": PageTemplate(_JSON, b"application/json"),
            b"text/plain": PageTemplate(_TEXT, b"text/plain"),
        }
        self._pages: dict[object, _Page] = {}
        self._accepted: dict[tuple[bytes, tuple[bytes, ...]], bytes] = {}

    def render(
        self,
        answer: Answer,
        *,
        accept: bytes = b"",
        head_only: bool = False,
        request_id: bytes = b"",
        route: str = "",
        cluster: str = "",
        backend: str = "",
    ) -> tuple[Response, bytes]:
        """
        Return the response, and its body.

        :param accept: the request's Accept values, joined by commas; empty = none. :param head_only: the request was
            HEAD: no body, but its Content-Length.
        :param request_id, route, cluster, backend: shown in the body where the template has them; empty = unknown.
        """
        if answer.body is not None or answer.status in (204, 304):
            return _own_body(answer, head_only=head_only)
        template = self._template(answer.status, cluster, accept)
        extra = template.fields & {"location", "retry_after"}
        own = (_value(answer, b"location"), _value(answer, b"retry-after")) if extra else ()
        key = (answer.status, answer.why, template, route, cluster, backend, own)
        page = self._pages.get(key)
        if page is None:
            page = _compile(answer, template, (route, cluster, backend, *own))
            if len(self._pages) >= REMEMBERED:
                self._pages.clear()
            self._pages[key] = page
        if not page.holes:
            request_id = b""
        elif not _PLAIN_ID.fullmatch(request_id):
            request_id = escaped(request_id.decode("latin-1"), page.media).encode()
        lines = _lines(answer) if answer.lines or answer.status == 401 else [_USUAL]
        response = _response(answer.status, [page.type_line, *lines])
        response.declared = page.size + page.holes * len(request_id)
        if head_only:
            return response, b""
        response.length = response.declared
        return response, request_id.join(page.pieces)

    def _template(self, status: int, cluster: str, accept: bytes) -> PageTemplate:
        for templates in (self._clusters.get(cluster), self._listener):
            if templates:
                offered = tuple(media for media in _ORDER if (status, media) in templates)
                if offered:
                    return templates[status, self._choose(accept, offered)]
        return self._builtin[self._choose(accept, _ORDER) if accept else _ORDER[0]]

    def _choose(self, accept: bytes, offered: tuple[bytes, ...]) -> bytes:
        if len(offered) == 1:
            return offered[0]
        key = (accept, offered)
        chosen = self._accepted.get(key)
        if chosen is None:
            chosen = preferred(accept, offered)
            if len(accept) <= MAX_ACCEPT:
                if len(self._accepted) >= REMEMBERED:
                    self._accepted.clear()
                self._accepted[key] = chosen
        return chosen


def preferred(accept: bytes, offered: tuple[bytes, ...]) -> bytes:
    """
    Choose a media type by Accept (RFC 9110 section 12.5.1).

    The highest weight wins, of equals the one that was named more exactly, of equals the first that is offered. Where
    nothing is acceptable it is the first as well: an error page in the wrong form is better than none.
    """
    ranges: dict[bytes, float] = {}
    for item in accept[:MAX_ACCEPT].lower().split(b",")[:32]:
        media, *parameters = (part.strip() for part in item.split(b";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith(b"q="):
                given = parameter[2:]
                weight = float(given) if _QVALUE.fullmatch(given) else 0.0
        ranges[media] = max(weight, ranges.get(media, 0.0))
    best, chosen = (0.0, 0), offered[0]
    for media in offered:
        for exactness, name in ((3, media), (2, media.partition(b"/")[0] + b"/*"), (1, b"*/*")):
            if name in ranges:
                # the most exact range that names it decides, also when it excludes it
                if ranges[name] > 0 and (ranges[name], exactness) > best:
                    best, chosen = (ranges[name], exactness), media
                break
    return chosen


def reason_of(status: int) -> str:
    """Return the phrase of a status; empty for one that we do not know."""
    return REASONS.get(status, "")


def _compile(answer: Answer, template: PageTemplate, known: tuple[str, ...]) -> _Page:
    """Make a page; ``known`` is route, cluster, backend and, where the template shows them, location, retry_after."""
    route, cluster, backend, location, retry_after = (*known, "", "")[:5]
    reason = reason_of(answer.status)
    shown = {
        "status": str(answer.status),
        "reason": reason,
        "why": answer.why or _WHY.get(answer.status, ""),
        "route": route,
        "cluster": cluster,
        "backend": backend,
        "location": location,
        "retry_after": retry_after,
    }
    return _Page([piece.encode() for piece in template.pieces(shown, "request_id")], template.media)


def _response(status: int, lines: list[bytes]) -> Response:
    return Response(status, reason_of(status).encode(), 1, lines)


def _value(answer: Answer, name: bytes) -> str:
    return (fields.get(answer.lines, name) or b"").decode("latin-1")


def _lines(answer: Answer, *, body: bool = True) -> list[bytes]:
    """Return the answer's own lines, and those it must have (RFC 9110 section 11.6.1 for 401)."""
    ours = _OURS | {b"content-type"} if body else _OURS
    kept = [line for line in answer.lines if line.partition(b":")[0].lower() not in ours]
    if fields.get(kept, b"cache-control") is None:
        kept.append(b"Cache-Control: no-cache")
    if answer.status == 401 and fields.get(kept, b"www-authenticate") is None:
        kept.append(b'WWW-Authenticate: Basic realm="restricted"')
    return kept


def _own_body(answer: Answer, *, head_only: bool) -> tuple[Response, bytes]:
    """Return the response of an answer that brings its body, or has none by its status (204, 304)."""
    body = answer.body or b""
    response = _response(answer.status, _lines(answer, body=False))
    if answer.status in (204, 304):
        return response, b""
    response.declared = len(body)
    if head_only:
        return response, b""
    response.length = len(body)
    return response, body
