"""Filters made from the text of their sections, and datagrams to put through them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.config.ini import parse
from netappliance.config.schema import parse_section
from netappliance.udp.datagram import Datagram, Resources
from netappliance.udp.filters import filter_kind

#: what debug filters said
logged: list[str] = []


def resources() -> Resources:
    """Fixed: time stands at 1000."""
    return Resources(
        rng=random.Random(1), wall=lambda: 1000.0, build=lambda name: build(f"kind = {name}"), log=logged.append
    )


def section(options: str) -> Any:
    """The section ``[filter x]`` with these options; raises ValueError for what is wrong with them."""
    raws, problems = parse(f"[filter x]\n{options}\n")
    made = parse_section(filter_kind(raws[0].options["kind"].text).schema, raws[0], problems)
    if problems:
        raise ValueError("; ".join(problem.render("f") for problem in problems))
    return made


def build(options: str) -> Any:
    """The filter that such a section makes."""
    made = section(options)
    return filter_kind(made.kind).make(made, resources())


def backend(number: int, *tokens: bytes) -> Backend:
    """Backend 10.0.0.N:7."""
    address = (f"10.0.0.{number}", 7)
    return Backend(BackendSection(f"b{number}", *address, tokens=tokens), 2, address, f"b{number}")


BACKENDS = (backend(1, b"abc"), backend(2, b"xyz", b"abc"), backend(3))


def datagram(payload: bytes = b"", source: tuple[str, int] = ("192.0.2.1", 5000), **metadata: Any) -> Datagram:
    """One from a client, with three backends behind."""
    made = Datagram()
    made.payload = payload
    made.source = made.client = source
    made.metadata = metadata
    made.backends = BACKENDS
    tokens: dict[bytes, Sequence[Backend]] = {b"abc": BACKENDS[:2], b"xyz": BACKENDS[1:2]}
    made.by_token = tokens
    return made
