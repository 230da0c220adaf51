"""Sections of the filters token_router and load_balancer."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.udp.filters.metadata import METADATA_KEY_DOC, metadata_key


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRouterSection:
    """Sends a datagram to every backend whose token= was captured; without one, or without a match, it is dropped."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="token_router", example="token_router")
    metadata_key: str = option(metadata_key, "quilkin.dev/capture", unit="name", doc=METADATA_KEY_DOC)


_POLICIES = {"ROUND_ROBIN": "round_robin", "RANDOM": "random", "HASH": "rendezvous"}


def policy_name(text: str) -> str:
    """A policy's name, or one of Quilkin's three."""
    known = ("round_robin", "random", "least_connections", "power_of_two", "rendezvous", "maglev", "peak_ewma")
    name = _POLICIES.get(text, text)
    if name not in known:
        raise ValueError(" | ".join(known))
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerSection:
    """Chooses a backend for each datagram, so one client's datagrams may go to several; sessions follow."""

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="load_balancer", example="load_balancer")
    policy: str = option(
        policy_name,
        "round_robin",
        doc="A balancing policy, or Quilkin's ROUND_ROBIN, RANDOM, HASH (by client address).",
    )
