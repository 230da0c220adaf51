"""Backends to choose from."""

from __future__ import annotations

from socket import AF_INET

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection


def backend(number: int, weight: int = 1, tokens: tuple[bytes, ...] = ()) -> Backend:
    """Return backend ``bN`` at 10.0.0.N:7, up and idle."""
    identifier, address = f"b{number}", (f"10.0.0.{number}", 7)
    return Backend(BackendSection(identifier, *address, weight=weight, tokens=tokens), AF_INET, address, identifier)
