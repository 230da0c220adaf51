"""
Sticky sessions: a cookie that leads a client back to its backend. Sans-I/O.

The cookie is ours: it is taken out of requests before a backend sees them, and set in responses only when the backend
is another than the cookie named. Its value is the backend's ``id`` where that is a plain name, else a keyed digest of
it, for ids that nobody gave are addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b

from netappliance.clusters.backend import Backend
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.section import ClusterSection
from netappliance.http import fields
from netappliance.http.backends import cookies

#: neither an address, nor a path, nor ``name@address``
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Sticky:
    """
    The sticky cookie of one cluster; for clusters with ``sticky_cookie``.

    :ivar kept_total: responses from the backend of the request's cookie. :ivar moved_total: from another one.
    :ivar assigned_total: to requests without the cookie.
    """

    __slots__ = (
        "_attributes",
        "_available",
        "_by_value",
        "_cluster",
        "_name",
        "_secret",
        "_secure_attributes",
        "_values",
        "assigned_total",
        "kept_total",
        "moved_total",
    )

    def __init__(self, cluster: Cluster) -> None:
        section = cluster.section
        self._cluster = cluster
        self._name = section.sticky_cookie.encode()
        self._secret = blake2b(f"{section.name}\0{section.sticky_secret}".encode(), digest_size=32).digest()
        self._attributes = _attributes(section, secure=section.sticky_secure == "yes")
        self._secure_attributes = _attributes(section, secure=section.sticky_secure != "no")
        self._available: Mapping[str, Backend] = {}
        self._by_value: dict[bytes, Backend] = {}
        self._values: dict[str, bytes] = {}
        self.kept_total = 0
        self.moved_total = 0
        self.assigned_total = 0

    def take(self, lines: list[bytes]) -> bytes:
        """
        Take the cookie out of a request's lines, in place.

        :return: its value, to give to :meth:`backend` and :meth:`set_cookie`; empty when there was none.
        """
        # one search for the requests that have none
        if self._name not in b"\n".join(lines):
            return b""
        return cookies.take(lines, self._name) or b""

    def backend(self, value: bytes, now: float) -> Backend | None:
        """
        Return the backend of a cookie, or None when one must be chosen: no cookie, an unknown value, or a backend that
        is gone, down or out of service.

        A backend at its ``max_connections`` is returned all the same, for the client to wait for, and so are backups
        and those of weight 0, which only get no new clients.
        """
        if not value:
            return None
        available = self._cluster.available(now)
        if available is not self._available:
            self._available = available
            self._by_value = {self.value(backend): backend for backend in available.values()}
        return self._by_value.get(value)

    def set_cookie(self, value: bytes, backend: Backend, *, secure: bool) -> bytes | None:
        """
        Return the Set-Cookie line for a response, or None when the client has the right cookie; call once for each.

        :param value: what :meth:`take` returned for the request. :param secure: the client speaks TLS.
        """
        right = self.value(backend)
        if right == value:
            self.kept_total += 1
            return None
        if value:
            self.moved_total += 1
        else:
            self.assigned_total += 1
        attributes = self._secure_attributes if secure else self._attributes
        return fields.line(b"Set-Cookie", self._name + b"=" + right + attributes)

    def value(self, backend: Backend) -> bytes:
        """Return what the cookie of a backend's clients holds; the same in every process with this configuration."""
        known = self._values.get(backend.id)
        if known is None:
            if len(self._values) >= _MAX_REMEMBERED:
                self._values.clear()
            known = self._values[backend.id] = self._make_value(backend.id)
        return known

    def _make_value(self, identifier: str) -> bytes:
        if _PLAIN.fullmatch(identifier):
            return identifier.encode()
        return blake2b(identifier.encode(), key=self._secret, digest_size=12).hexdigest().encode()


#: values of backends that come and go with name resolution
_MAX_REMEMBERED = 4096


def _attributes(section: ClusterSection, *, secure: bool) -> bytes:
    out = f"; Path={section.sticky_path}"
    if section.sticky_max_age_s:
        out += f"; Max-Age={int(section.sticky_max_age_s)}"
    if secure:
        out += "; Secure"
    if section.sticky_http_only:
        out += "; HttpOnly"
    same_site = section.sticky_same_site
    # browsers throw a cookie away that is for all sites and not Secure
    if same_site != "off" and (secure or same_site != "none"):
        out += f"; SameSite={same_site.capitalize()}"
    return out.encode()
