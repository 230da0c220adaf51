"""Filters from the text of their section, and exchanges to run through them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from netappliance.config.ini import parse
from netappliance.config.schema import parse_section
from netappliance.http.filters import Resources, filter_kind
from netappliance.http.message import Exchange, Request, Response


def build(options: str, exists: Callable[[str], bool] = lambda path: False) -> Any:
    """
    The filter that ``[filter x]`` with these options makes.

    :raises ValueError: all that is wrong with them.
    """
    raws, problems = parse(f"[filter x]\n{options}\n")
    kind = filter_kind(raws[0].options["kind"].text)
    section = parse_section(kind.schema, raws[0], problems)
    if problems:
        raise ValueError("; ".join(problem.render("f") for problem in problems))
    return kind.make(section, Resources(random.Random(1), 0.0, exists))


def exchange(target: bytes = b"/", *lines: bytes, **changed: Any) -> Exchange:
    """A GET of www.example.org from 192.0.2.1 at second 100, without TLS."""
    request = Request(b"GET", target, 1, list(lines))
    request.authority = b"www.Example.org:8080"
    request.host = b"www.example.org"
    request.port = 8080
    fields: dict[str, Any] = {
        "request": request,
        "client": "192.0.2.1",
        "listener": "web",
        "port": 80,
        "secure": False,
        "route": "default",
        "cluster": "web",
        "captures": (b"one", b"two"),
        "now": 100.0,
        "request_id": b"r-1",
    }
    return Exchange(**{**fields, **changed})


def response(*lines: bytes) -> Response:
    """A 200."""
    return Response(200, b"OK", 1, list(lines))
