"""Sends clients elsewhere: to a place made from the request, or to the same place over TLS."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.regex import Regex
from netappliance.config.schema import option
from netappliance.http.expansion import Template
from netappliance.http.filters.base import RequestFilter, Resources
from netappliance.http.message import Answer, Exchange
from netappliance.http.routing.location import Location, location
from netappliance.http.routing.patterns import MAX_REGEX_PATH
from netappliance.http.routing.redirect import moved

STATUSES = values.choice("301", "302", "303", "307", "308")


def place(text: str) -> Location:
    """A template that is not empty."""
    made = location(text)
    if made is None:
        raise ValueError("an address such as https://www.example.org$target, or a path")
    return made


def pattern(text: str) -> Regex | None:
    """A regular expression of bytes that the whole path must match; empty = none."""
    return Regex(text.encode(), MAX_REGEX_PATH, dot_all=True) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectSection:
    """Answers with a redirect."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="redirect", example="redirect")
    to: Location = option(  # noqa: RUF009 - a field
        place,
        required=True,
        unit="template",
        doc="Where to, as redirect_to of a route; $1 is the first group of pattern or, without one, of the route.",
        example="https://www.example.org$target",
    )
    status: str = option(STATUSES, "302", unit="status", doc="301, 302, 303, 307 or 308.")
    pattern: Regex | None = option(  # noqa: RUF009 - a field
        pattern,
        unit="regex",
        doc="Only for paths that it matches from beginning to end; one of more than 2048 bytes is answered 414. "
        "Empty = every path.",
    )


def check_captures(pattern: Regex | None, **templates: Template | Location | None) -> None:
    """
    See that a pattern has the groups that templates need; without one they are the route's, which checks them.

    :raises ValueError: names the template's key.
    """
    for key, made in templates.items():
        if pattern is not None and made is not None and made.captures > pattern.groups:
            raise ValueError(f"{key}: ${made.captures} needs as many groups in pattern, which has {pattern.groups}")


def matched(compiled: Regex | None, exchange: Exchange) -> tuple[bytes, ...] | Answer | None:
    """
    Return the captures that a filter works with: those of its own pattern for the path, or without one the route's.

    :return: None when the path does not match; an answer when it is too long to be looked at.
    """
    if compiled is None:
        return exchange.captures
    path = exchange.request.path
    if len(path) > MAX_REGEX_PATH:
        return Answer(414, f"The path is longer than {MAX_REGEX_PATH} bytes.")
    return compiled.captures(path)


class Redirect(RequestFilter):
    """One template."""

    def __init__(self, section: RedirectSection) -> None:
        self._to = section.to
        self._status = int(section.status)
        self._pattern = section.pattern

    def request(self, exchange: Exchange) -> Answer | None:
        """Redirect, where the path matches."""
        captures = matched(self._pattern, exchange)
        if captures is None or isinstance(captures, Answer):
            return captures
        return moved(self._to, self._status, exchange, captures)


def make(section: RedirectSection, resources: Resources) -> Redirect:
    """
    Build it.

    :raises ValueError: a capture that there is none of.
    """
    check_captures(section.pattern, to=section.to)
    return Redirect(section)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsRedirectSection:
    """Sends requests that came without TLS to the same host and target with it; others pass."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="https_redirect", example="https_redirect")
    port: int = option(values.integer(1, 65535), "443", unit="port", doc="Of the TLS listener, as clients see it.")
    status: str = option(STATUSES, "301", unit="status", doc="301, 302, 303, 307 or 308.")


class HttpsRedirect(RequestFilter):
    """To https."""

    def __init__(self, section: HttpsRedirectSection) -> None:
        self._to = place("https://$host" + (f":{section.port}" if section.port != 443 else "") + "$target")
        self._status = int(section.status)

    def request(self, exchange: Exchange) -> Answer | None:
        """Redirect what is not secure."""
        if exchange.secure:
            return None
        if not exchange.request.host:
            return Answer(400, "The request names no host.")
        return moved(self._to, self._status, exchange, ())


def make_https(section: HttpsRedirectSection, resources: Resources) -> HttpsRedirect:
    """Build it."""
    return HttpsRedirect(section)
