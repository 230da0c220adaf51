"""The kinds of request filters that come with the appliance, and how a route's filters are built."""

from __future__ import annotations

from typing import Any, ClassVar

from zope.interface import implementer

from netappliance.filters import family
from netappliance.http.filters.base import RequestFilter, Resources
from netappliance.interfaces import IRequestFilterKind

__all__ = [
    "BUILTIN",
    "Filter",
    "RequestFilter",
    "Resources",
    "build_filters",
    "filter_kind",
    "filter_names",
    "kinds",
    "section_without_options",
]

#: what ``make`` of a filter kind returns
Filter = Any


@implementer(IRequestFilterKind)
class BuiltinFilter(family.BuiltinFilter):
    """A request filter of ours."""

    __slots__ = ()
    package: ClassVar[str] = "netappliance.http.filters"


BUILTIN = (
    BuiltinFilter("redirect", "redirect", "RedirectSection"),
    BuiltinFilter("https_redirect", "redirect", "HttpsRedirectSection", "make_https"),
    BuiltinFilter("rewrite", "rewrite", "RewriteSection"),
    BuiltinFilter("headers", "headers", "HeadersSection"),
    BuiltinFilter("hsts", "headers", "HstsSection", "make_hsts"),
    BuiltinFilter("basic_auth", "basic_auth", "BasicAuthSection"),
    BuiltinFilter("deny", "access", "DenySection", "make_deny"),
    BuiltinFilter("allow", "access", "AllowSection", "make_allow"),
    BuiltinFilter("maintenance", "access", "MaintenanceSection", "make_maintenance"),
    BuiltinFilter("request_rate_limit", "limits", "RequestRateLimitSection", "make_rate"),
    BuiltinFilter("concurrency_limit", "limits", "ConcurrencyLimitSection", "make_concurrency"),
    BuiltinFilter("python", "simple", "PythonSection", "make_python"),
)
FAMILY = family.FilterFamily(IRequestFilterKind, "[route]", BUILTIN)
filter_kind = FAMILY.filter_kind
filter_names = FAMILY.filter_names
kinds = FAMILY.kinds
section_without_options = FAMILY.section_without_options
build_filters = FAMILY.build
