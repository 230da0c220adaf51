"""Changes what the backend is asked for: path, query and host."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.regex import Regex
from netappliance.config.schema import option
from netappliance.http.expansion import HELP, Template
from netappliance.http.filters.base import RequestFilter, Resources
from netappliance.http.filters.redirect import check_captures, matched, pattern
from netappliance.http.message import Answer, Exchange

#: what a backend may be asked for: no white space, no control characters, no fragment
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e\x80-\xff]*")
_AUTHORITY = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


def _template(text: str) -> Template | None:
    return Template(text) if text else None


def _prefix(text: str) -> str:
    if text and not re.fullmatch(r"/[\x21-\x7e]*", text):
        raise ValueError("a path that begins with /")
    if text and not text.rstrip("/"):
        raise ValueError("a prefix to take off, which / alone is not")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteSection:
    """Rewrites path and host on the way to the backend; the route is chosen before."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="rewrite", example="rewrite")
    pattern: Regex | None = option(  # noqa: RUF009 - a field
        pattern,
        unit="regex",
        doc="Only for paths that it matches from beginning to end; its groups are then $1 and so on, not the route's. "
        "One of more than 2048 bytes is answered 414. Empty = every path.",
        example="/api/v1/(.*)",
    )
    strip_prefix: str = option(
        _prefix, unit="path", doc="Taken off the beginning of the path, where it ends a segment there.", example="/app"
    )
    path: Template | None = option(  # noqa: RUF009 - a field
        _template,
        unit="template",
        doc=f"The new path; the query is kept unless there is a ? in it. May hold {HELP}; empty = as it is.",
        example="/v2/$1",
    )
    host: Template | None = option(  # noqa: RUF009 - a field
        _template,
        unit="template",
        doc="The new Host; X-Forwarded-Host tells the old one. Empty = as it is.",
        example="$1.internal.example.org",
    )


class Rewrite(RequestFilter):
    """What would become no well-formed request is answered with 400."""

    def __init__(self, section: RewriteSection) -> None:
        self._pattern = section.pattern
        self._strip = section.strip_prefix.rstrip("/").encode()
        self._path = section.path
        self._host = section.host
        self._query = section.path is not None and "?" in section.path.text

    def request(self, exchange: Exchange) -> Answer | None:
        """Rewrite, where the path matches."""
        request = exchange.request
        if request.target == b"*":
            return None
        captures = matched(self._pattern, exchange)
        if captures is None or isinstance(captures, Answer):
            return captures
        if self._strip:
            request.target = _stripped(request.target, self._strip)
        target, authority = request.target, request.authority
        if self._path is not None:
            target = self._path.expand(exchange, captures)
            _, mark, query = request.target.partition(b"?")
            if mark and not self._query:
                target += b"?" + query
        if self._host is not None:
            authority = self._host.expand(exchange, captures)
        if not _TARGET.fullmatch(target) or not (authority == request.authority or _AUTHORITY.fullmatch(authority)):
            return Answer(400, "The address cannot be rewritten.")
        request.target = target
        if authority != request.authority:
            # of several rewrites the first knows what the client asked for
            request.forwarded_host = request.forwarded_host or request.authority
            request.authority = authority
        return None


def _stripped(target: bytes, prefix: bytes) -> bytes:
    """Take a prefix off that ends at a slash, at the query or at the end; what is left begins with one slash."""
    after = target[len(prefix) : len(prefix) + 1]
    if not target.startswith(prefix) or after not in (b"", b"/", b"?"):
        return target
    rest = target[len(prefix) :]
    if rest.startswith(b"//"):
        # what is left must not look like the authority of another host
        return b"/" + rest.lstrip(b"/")
    return rest if after == b"/" else b"/" + rest


def make(section: RewriteSection, resources: Resources) -> Rewrite:
    """
    Build it.

    :raises ValueError: nothing to rewrite, or a path that cannot be one.
    """
    if section.path is None and section.host is None and not section.strip_prefix:
        raise ValueError("path: it, host or strip_prefix must be given")
    if section.path is not None and not section.path.text.startswith(("/", "$")):
        raise ValueError("path: must begin with / or a placeholder")
    for key, made in (("path", section.path), ("host", section.host)):
        if made is not None and re.search(r"[\s#]", made.text):
            raise ValueError(f"{key}: without spaces and #, percent-encode them")
    check_captures(section.pattern, path=section.path, host=section.host)
    return Rewrite(section)
