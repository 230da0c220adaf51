"""
Every datagram filter by name: ours, and those of plug-ins.

``kind`` takes the short names, and Quilkin's own (``quilkin.filters.capture.v1alpha1.Capture``).
"""

from __future__ import annotations

from typing import ClassVar

from zope.interface import implementer

from netappliance.filters import family
from netappliance.interfaces import IDatagramFilterKind


@implementer(IDatagramFilterKind)
class BuiltinFilter(family.BuiltinFilter):
    """A datagram filter of ours."""

    __slots__ = ()
    package: ClassVar[str] = "netappliance.udp.filters"


def _quilkin(module: str, name: str) -> str:
    return f"quilkin.filters.{module}.v1alpha1.{name}"


BUILTIN = (
    BuiltinFilter("capture", "capture", "CaptureSection", aliases=(_quilkin("capture", "Capture"),)),
    BuiltinFilter(
        "token_router",
        "routing",
        "TokenRouterSection",
        "make_token_router",
        (_quilkin("token_router", "TokenRouter"),),
    ),
    BuiltinFilter(
        "hashed_token_router",
        "routing",
        "TokenRouterSection",
        "make_token_router",
        (_quilkin("token_router", "HashedTokenRouter"),),
    ),
    BuiltinFilter(
        "load_balancer",
        "routing",
        "LoadBalancerSection",
        "make_load_balancer",
        (_quilkin("load_balancer", "LoadBalancer"),),
    ),
    BuiltinFilter("firewall", "firewall", "FirewallSection", aliases=(_quilkin("firewall", "Firewall"),)),
    BuiltinFilter(
        "rate_limit", "rate_limit", "RateLimitSection", aliases=(_quilkin("local_rate_limit", "LocalRateLimit"),)
    ),
    BuiltinFilter(
        "concatenate", "concatenate", "ConcatenateSection", aliases=(_quilkin("concatenate", "Concatenate"),)
    ),
    BuiltinFilter("compress", "compress", "CompressSection", aliases=(_quilkin("compress", "Compress"),)),
    BuiltinFilter("match", "match", "MatchSection", aliases=(_quilkin("matches", "Match"), _quilkin("match", "Match"))),
    BuiltinFilter("timestamp", "simple", "TimestampSection", "make_timestamp", (_quilkin("timestamp", "Timestamp"),)),
    BuiltinFilter("debug", "simple", "DebugSection", "make_debug", (_quilkin("debug", "Debug"),)),
    BuiltinFilter("drop", "simple", "DropSection", "make_drop", (_quilkin("drop", "Drop"),)),
    BuiltinFilter("pass", "simple", "PassSection", "make_pass", (_quilkin("pass", "Pass"),)),
    BuiltinFilter("decryptor", "decryptor", "DecryptorSection", aliases=(_quilkin("decryptor", "Decryptor"),)),
    BuiltinFilter("python", "simple", "PythonSection", "make_python"),
)
FAMILY = family.FilterFamily(IDatagramFilterKind, "[udp]", BUILTIN)
filter_kind = FAMILY.filter_kind
filter_names = FAMILY.filter_names
kinds = FAMILY.kinds
section_without_options = FAMILY.section_without_options
build_filters = FAMILY.build
