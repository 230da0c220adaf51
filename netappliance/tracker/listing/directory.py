"""The connections to look at, and to end: for the runtime API and the manhole."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from twisted.logger import Logger

from netappliance.sessions.session import Session
from netappliance.tracker.conntrack import ctnetlink
from netappliance.tracker.listing.query import (
    Filter,
    Row,
    Way,
    parse_filter,
    parse_id,
    socket_row,
    socket_way,
    tracked_row,
)
from netappliance.tracker.sock_diag import inet_diag
from netappliance.tracker.sock_diag.inet_diag import Socket, unmapped
from netappliance.tracker.sock_diag.socket_entry import SocketEntry
from netappliance.tracker.sources import Sources

_STEP = 200
"""Connections that are looked at between two looks at the clock."""


class Directory:
    """
    Lists the connections that the tracker knows and ends one of them.

    :param sessions: the proxies' own, live. :param clock: monotonic seconds.
    :param others: gives the sources of another namespace by name, None when it is not there.
    """

    _log = Logger()

    def __init__(
        self,
        sources: Sources,
        sessions: Iterable[Session],
        clock: Callable[[], float],
        others: Callable[[str], Sources | None] = lambda _: None,
    ) -> None:
        self._others = others
        self._sources = sources
        self._sessions = sessions
        self._clock = clock

    def within(self, namespace: str) -> Directory:
        """
        Return the directory of another network namespace.

        :raises LookupError: the tracker does not look at it, or it is not there.
        """
        sources = self._others(namespace)
        if sources is None:
            raise LookupError("no such namespace")
        return Directory(sources, (), self._clock)

    def find(self, **terms: object) -> list[dict[str, Any]]:
        """
        Return connections as plain values; for the prompt, where waiting does no harm.

        :param terms: see :func:`netappliance.tracker.listing.query.parse_filter`; such as ``state="open"`` and
            ``port=443``.
        :raises ValueError: an unknown term or a bad value.
        """
        *_, found = self.search(parse_filter({name: str(value) for name, value in terms.items()}))
        assert found is not None
        shown: list[dict[str, Any]] = found["connections"]
        return shown

    def search(self, wanted: Filter) -> Iterator[dict[str, Any] | None]:
        """
        Look through the connections in small steps; the caller decides when to go on.

        :return: yields None after each step, and last the answer: ``connections`` (at most ``wanted.limit``),
            ``matched``, ``known`` and ``source``.
        """
        now = self._clock()
        rows: list[Row] = []
        matched = 0
        everything = self._rows()
        while True:
            step = list(islice(everything, _STEP))
            for row in step:
                if wanted.matches(row, now):
                    matched += 1
                    if len(rows) < wanted.limit:
                        rows.append(row)
            if len(step) < _STEP:
                break
            yield None
        ways = {way: index for index, row in enumerate(rows) for way in row.ways()}
        owners: dict[int, int] = {}
        for way, session in self._session_ways():
            if way is None:
                yield None
            elif way in ways:
                owners[ways[way]] = session
        for entry in self._socket_entries():
            if entry is None:
                yield None
            else:
                self._join(rows, ways, entry)
        shown = [row.describe(now, owners.get(index)) for index, row in enumerate(rows)]
        for each in shown:
            if "socket" in each:
                each["socket"]["cgroup"] = self._sources.sockets.cgroups.path(each["socket"]["cgroup"])
        source = self._sources.chosen.source
        yield {"source": source, "known": len(self._sources.table), "matched": matched, "connections": shown}

    def end(self, ident: str, who: str) -> str:
        """
        End one connection: its socket where it is one of this host's, else the kernel's memory of it.

        :param ident: as the list has it. :param who: for the log.
        :return: what was done, in words.
        :raises ValueError: it is no id. :raises LookupError: there is no such connection (any more).
        :raises OSError: the kernel refuses.
        """
        named = parse_id(ident)
        if isinstance(named, int):
            entry = self._sources.sockets.table.entries.get(named)
            if entry is None:
                raise LookupError("no such connection")
            shown = socket_row(entry, "", "").describe(self._clock())
            done = self._end_socket(entry.socket)
        else:
            key, number = named
            table = self._sources.connections
            slot = table.slots.get(key, -1)
            found = table.connection(slot) if slot >= 0 else None
            if found is None or found.ident != number:
                raise LookupError("no such connection")
            row = tracked_row(found, key)
            shown = row.describe(self._clock())
            done = self._end_tracked(row, key, found.zone, number)
        self._log.info(
            "[tracker] {who} ended the connection of {where} from {source} to {target}: {done}",
            who=who,
            where=self._sources.where,
            source=shown["from"],
            target=shown["to"],
            done=done,
        )
        return done

    def _end_socket(self, found: Socket) -> str:
        with closing(self._sources.network.open_diag((), 1 << 16)) as opened:
            try:
                _command(opened, inet_diag.destroy_request(1, found))
            except FileNotFoundError:
                raise LookupError("no such connection") from None
        self._sources.sockets.table.killed(found)
        return "socket destroyed"

    def _end_tracked(self, row: Row, key: bytes, zone: int, number: int) -> str:
        found = [self._find_socket(way) for way in row.ways()] if row.orig.protocol == ctnetlink.TCP else []
        raw = key[:-2] if len(key) % 4 else key
        done = []
        # the entry first: it is killed, while the reset that the socket sends would make it one that was reset
        with closing(self._sources.network.open_netfilter((), 1 << 16)) as opened:
            try:
                _command(opened, ctnetlink.delete_request(1, raw, zone, number))
                done.append("entry deleted")
            except FileNotFoundError:
                if not any(found):
                    raise LookupError("no such connection") from None
        return ", ".join(done + [self._end_socket(each) for each in found if each is not None])

    def _find_socket(self, way: Way) -> Socket | None:
        """Return the socket that has these ends now, but for those that are over. :raises OSError: no answer."""
        with closing(self._sources.network.open_diag((), 1 << 16)) as opened:
            opened.settimeout(1.0)
            opened.send(inet_diag.find_request(1, *way))
            found = inet_diag.decode(opened.recv(65536)).sockets
        return found[0] if found and found[0].cookie and found[0].state != inet_diag.TIME_WAIT else None

    def _rows(self) -> Iterator[Row]:
        sources = self._sources
        if sources.table is sources.connections:
            table = sources.connections
            for key, slot in list(table.slots.items()):
                if table.slots.get(key) == slot:
                    found = table.connection(slot)
                    if found is not None:
                        yield tracked_row(found, key)
        else:
            entries = sources.sockets.table.entries
            for name, entry in list(entries.items()):
                if entries.get(name) is entry and (entry.place is not None or not entry.counted):
                    group, direction = (entry.place[1].group, entry.place[1].direction) if entry.place else ("", "")
                    yield socket_row(entry, group, direction)

    def _session_ways(self) -> Iterator[tuple[Way | None, int]]:
        for number, session in enumerate(self._sessions):
            yield _way(session.local, session.client), session.id
            for each in session.sockets():
                try:
                    yield _way(each.getsockname(), each.getpeername()), session.id
                except OSError:
                    continue
            if not number % _STEP:
                yield None, 0

    def _socket_entries(self) -> Iterator[SocketEntry | None]:
        if self._sources.sockets.source is None:
            return
        for number, entry in enumerate(list(self._sources.sockets.table.entries.values())):
            yield entry
            if not number % (10 * _STEP):
                yield None

    @staticmethod
    def _join(rows: list[Row], ways: dict[Way, int], entry: SocketEntry) -> None:
        """Let a row know its socket; of two sockets of one connection, the opener's."""
        way = socket_way(entry.socket)
        index = ways.get(way)
        if index is not None:
            row = rows[index]
            if row.socket is None or way == row.ways()[0]:
                rows[index] = row._replace(socket=entry)


def _way(local: Any, remote: Any) -> Way | None:
    """Return the ends of a connection by socket addresses or (host, port); None for those that have no IP address."""
    try:
        ends = [
            (unmapped(ipaddress.ip_address(host.partition("%")[0]).packed), port) for host, port, *_ in (local, remote)
        ]
    except (ValueError, AttributeError, TypeError):
        return None
    return (*ends[0], *ends[1])


def _command(opened: socket.SocketType, request: bytes) -> None:
    """
    Send a request to the kernel and take its answer, which is there when the send returns.

    :raises OSError: the kernel refuses.
    """
    opened.settimeout(1.0)
    opened.send(request)
    data = opened.recv(65536)
    if len(data) < 20 or struct.unpack_from("=H", data, 4)[0] != ctnetlink.NLMSG_ERROR:
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    refused = -struct.unpack_from("=i", data, 16)[0]
    if refused:
        raise OSError(refused, os.strerror(refused))
