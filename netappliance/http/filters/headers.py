"""Adds, sets and deletes header fields of requests and responses; Strict-Transport-Security."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.http import fields
from netappliance.http.expansion import HELP, Template
from netappliance.http.filters.base import RequestFilter, Resources
from netappliance.http.message import Answer, Exchange, Response

_EDIT = re.compile(r"(request|response|both)\s+(?:(set|add)\s+([^\s:]+)\s*:\s*(.*)|(delete)\s+([^\s:]+))")


@dataclass(frozen=True, slots=True)
class Edit:
    """One line; ``value`` is None for delete."""

    side: str
    action: str
    name: bytes
    value: Template | None


def edits(text: str) -> tuple[Edit, ...]:
    """
    Lines of ``request|response|both set|add Name: value`` or ``... delete Name``.

    :raises ValueError: with what was expected.
    """
    found: list[Edit] = []
    for line in values.lines(text):
        made = _edit(line)
        for other in found:
            meets = made.side == other.side or "both" in (made.side, other.side)
            if meets and made.name.lower() == other.name.lower() and "add" not in (made.action, other.action):
                raise ValueError(f"one set or delete of {made.name.decode()} for each side, not {line!r} as well")
        found.append(made)
    return tuple(found)


def _edit(line: str) -> Edit:
    match = _EDIT.fullmatch(line)
    if match is None:
        raise ValueError(f"lines of request|response|both set|add Name: value, or delete Name, not {line!r}")
    side, action, name, text, delete, deleted = match.groups()
    name = (deleted if delete else name).encode("ascii", "replace")
    if name.lower() in fields.RESERVED:
        raise ValueError(f"no edit of {name.decode()}, which is the proxy's to write (kind = rewrite changes the host)")
    value = None if delete else Template(text.strip())
    # names now; values too, where they are known
    fields.line(name, value.constant or b"" if value is not None else b"")
    return Edit(side, delete or action, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadersSection:
    """
    Edits header fields on the way to the backend and on the way back, also of our own answers. In requests set and
    delete take away what a client spelt with _ for - as well, for many backends take both for the same field.
    """

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="headers", example="headers")
    edits: tuple[Edit, ...] = option(
        edits,
        required=True,
        unit="lines",
        doc="One per line: request|response|both set|add Name: value, or request|response|both delete Name. Values may "
        f"hold {HELP}.",
        example="request set X-Client: $client",
    )


class _Side:
    """
    What is done to one side: names taken out in one pass, then lines appended.

    :param twins: what a client spells with ``_`` for ``-`` is taken out as well, or a backend could take it for ours.
    """

    __slots__ = ("_constant", "_expanded", "_gone")

    def __init__(self, chosen: list[Edit], *, twins: bool = False) -> None:
        names = [edit.name for edit in chosen if edit.action != "add"]
        self._gone = fields.spellings(names, twins=twins).match if names else None
        written = [(edit.name, edit.value) for edit in chosen if edit.value is not None]
        self._expanded = tuple((name + b": ", value) for name, value in written if value.constant is None)
        self._constant = [fields.line(name, value.constant) for name, value in written if value.constant is not None]

    def apply(self, lines: list[bytes], exchange: Exchange) -> None:
        # values first: they may fail, and nothing may be half edited
        made = []
        for prefix, template in self._expanded:
            value = template.expand(exchange, exchange.captures).strip(b" \t")
            if not fields.is_value(value):
                raise ValueError(f"a field value without control characters, not {value!r}")
            made.append(prefix + value)
        gone = self._gone
        if gone is not None:
            lines[:] = [line for line in lines if gone(line) is None]
        lines += self._constant
        lines += made


class RequestHeaders(RequestFilter):
    """Edits of requests alone."""

    def __init__(self, side: _Side) -> None:
        self._request = side

    def request(self, exchange: Exchange) -> Answer | None:
        """Edit."""
        self._request.apply(exchange.request.lines, exchange)
        return None


class ResponseHeaders(RequestFilter):
    """Edits of responses alone."""

    def __init__(self, side: _Side) -> None:
        self._response = side

    def response(self, exchange: Exchange, response: Response) -> None:
        """Edit."""
        self._response.apply(response.lines, exchange)


class Headers(RequestFilter):
    """Edits of both."""

    def __init__(self, request: _Side, response: _Side) -> None:
        self._request = request
        self._response = response

    def request(self, exchange: Exchange) -> Answer | None:
        """Edit."""
        self._request.apply(exchange.request.lines, exchange)
        return None

    def response(self, exchange: Exchange, response: Response) -> None:
        """Edit."""
        self._response.apply(response.lines, exchange)


def make(section: HeadersSection, resources: Resources) -> RequestFilter:
    """Build what looks only at the sides that are edited."""
    request = [edit for edit in section.edits if edit.side != "response"]
    response = [edit for edit in section.edits if edit.side != "request"]
    if request and response:
        return Headers(_Side(request, twins=True), _Side(response))
    return RequestHeaders(_Side(request, twins=True)) if request else ResponseHeaders(_Side(response))


@dataclass(frozen=True, slots=True, kw_only=True)
class HstsSection:
    """Strict-Transport-Security (RFC 6797) on every response over TLS, our own answers included; never without TLS."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="hsts", example="hsts")
    max_age_s: float = option(
        values.duration, "365d", key="max_age", unit="duration", doc="How long browsers remember it; 0 = forget it."
    )
    include_subdomains: bool = option(values.boolean, "no", doc="For all subdomains too.")
    preload: bool = option(
        values.boolean, "no", doc="Agree to be in browsers' lists; needs include_subdomains and a max_age of 365d."
    )
    override: bool = option(values.boolean, "no", doc="Replace the field of a backend that sends its own.")


class Hsts(RequestFilter):
    """One line, made once."""

    def __init__(self, section: HstsSection) -> None:
        value = b"max-age=%d" % section.max_age_s
        value += b"; includeSubDomains" if section.include_subdomains else b""
        value += b"; preload" if section.preload else b""
        self._line = fields.line(b"Strict-Transport-Security", value)
        self._override = section.override

    def response(self, exchange: Exchange, response: Response) -> None:
        """Add, unless the backend did."""
        if not exchange.secure:
            return
        lines = response.lines
        if self._override:
            fields.delete(lines, b"strict-transport-security")
        elif fields.get(lines, b"strict-transport-security") is not None:
            return
        lines.append(self._line)


def make_hsts(section: HstsSection, resources: Resources) -> Hsts:
    """
    Build it.

    :raises ValueError: preload without what the lists ask for.
    """
    if section.preload and (not section.include_subdomains or section.max_age_s < 365 * 86400):
        raise ValueError("preload: needs include_subdomains = yes and max_age of at least 365d")
    return Hsts(section)
