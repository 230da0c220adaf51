"""``/api/v1/connections``: the host's connections as JSON, and the end of one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.server import Request

from netappliance.admin.site import Page, refusal
from netappliance.tracker.listing.directory import Directory
from netappliance.tracker.listing.query import parse_filter

PATH = "/api/v1/connections"
SLICE_S = 0.01
"""A search keeps the reactor for at most about this long in one turn (seconds)."""

MAX_SEARCHES = 4
"""Searches at once; further ones are refused, for each takes its slice of every turn."""

_JSON = b"application/json"


def connection_pages(
    directory: Directory, reactor: Any, clock: Callable[[], float]
) -> dict[str, Callable[[Callable[[Request], bool]], Page]]:
    """
    Return makers of the pages by path.

    GET of the list takes the terms of :func:`netappliance.tracker.listing.query.parse_filter` as its query; DELETE of
    ``/api/v1/connections/ID`` ends one, for those who may change state. Both take ``namespace``.
    """

    running: set[Deferred[bytes]] = set()

    def listing(request: Request) -> bytes | Deferred[bytes]:
        try:
            terms = _terms(request)
            chosen = _within(directory, terms)
            wanted = parse_filter(terms)
        except ValueError as error:
            return refusal(request, 400, str(error))
        except LookupError as error:
            return refusal(request, 404, str(error))
        if len(running) >= MAX_SEARCHES:
            request.setHeader(b"Retry-After", b"1")
            return refusal(request, 503, "too many searches at once")
        answer = _paced(chosen.search(wanted), reactor, clock)
        running.add(answer)

        def over(result: bytes | Failure) -> bytes | Failure:
            running.discard(answer)
            return result

        return answer.addBoth(over)

    def make_list(_may_change: Callable[[Request], bool]) -> Page:
        return Page(listing, "the host's connections: ?state= &address= &port= &min_age= &group= ...", _JSON)

    def make_one(may_change: Callable[[Request], bool]) -> Page:
        return Page(lambda request: _end(request, directory, may_change), content_type=_JSON, methods=(b"DELETE",))

    return {PATH: make_list, PATH + "/*": make_one}


def _terms(request: Request) -> dict[str, str]:
    """Return the query's terms. :raises ValueError: one is given twice."""
    found = {}
    for name, given in request.args.items():
        if len(given) > 1:
            raise ValueError(f"{name.decode('utf-8', 'replace')!r} is given twice")
        found[name.decode("utf-8", "replace")] = given[0].decode("utf-8", "replace")
    return found


def _within(directory: Directory, terms: dict[str, str]) -> Directory:
    """Take the term ``namespace`` and return its directory. :raises LookupError: there is none."""
    name = terms.pop("namespace", "")
    return directory.within(name) if name else directory


def _paced(search: Iterator[dict[str, Any] | None], reactor: Any, clock: Callable[[], float]) -> Deferred[bytes]:
    """Run a search over as many turns of the reactor as it needs; cancelling it ends it."""
    waiting: list[Any] = []

    def cancel(_done: Deferred[bytes]) -> None:
        for call in waiting:
            call.cancel()

    done: Deferred[bytes] = Deferred(cancel)

    def turn() -> None:
        waiting.clear()
        until = clock() + SLICE_S
        try:
            found = None
            while found is None and clock() < until:
                found = next(search)
        except Exception:  # noqa: BLE001 - the page answers 500 and logs it
            done.errback()
            return
        if found is None:
            waiting.append(reactor.callLater(0, turn))
        else:
            done.callback(json.dumps(found).encode() + b"\n")

    turn()
    return done


def _end(request: Request, directory: Directory, may_change: Callable[[Request], bool]) -> bytes:
    if not may_change(request):
        request.setHeader(b"WWW-Authenticate", b'Bearer realm="netappliance"')
        return refusal(request, 401, "the bearer token is needed")
    ident = unquote(request.path.decode("ascii", "replace").removeprefix(PATH + "/"))
    peer = request.getClientAddress()
    try:
        terms = _terms(request)
        chosen = _within(directory, terms)
        if terms:
            raise ValueError("expected no term but namespace")
        done = chosen.end(ident, f"the admin endpoint ({getattr(peer, 'host', None) or 'unix'})")
    except ValueError as error:
        return refusal(request, 400, str(error))
    except LookupError as error:
        return refusal(request, 404, str(error))
    except OSError as error:
        return refusal(request, 403 if isinstance(error, PermissionError) else 502, error.strerror or str(error))
    return json.dumps({"id": ident, "done": done}).encode() + b"\n"
