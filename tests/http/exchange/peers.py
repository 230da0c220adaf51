"""Clients and backends that mean what they send: each response names the request that it answers."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any

from tests.http.exchange.world import FakeSocket

IDEMPOTENT = (b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS")
EVIL = b"HTTP/1.1 200 OK\r\nX-Tag: evil\r\nContent-Length: 4\r\n\r\nevil"
#: what our own answers may say
OWN = {400, 403, 404, 408, 413, 414, 417, 429, 431, 500, 501, 502, 503, 504}


@dataclass
class Asked:
    """
    One request of a client.

    :ivar wire: its bytes. :ivar body: its content; None when it is malformed and must never arrive whole.
    :ivar wait_at: offset in ``wire`` where the client waits for a word, or -1. :ivar arrivals: where it arrived.
    """

    tag: bytes
    method: bytes = b"GET"
    minor: int = 1
    wire: bytes = b""
    body: bytes | None = b""
    upgrade: bool = False
    wait_at: int = -1
    arrivals: list[Arrival] = field(default_factory=list)


@dataclass
class Arrival:
    """A request at a backend: on which connection, as which one of it, and how much had been sent before."""

    peer: BackendPeer
    number: int
    given: int


@dataclass
class Planned:
    """A backend's response: to which request, with what content; ``whole`` when it means to send all of it."""

    tag: bytes
    body: bytes
    whole: bool


def chunks(rng: random.Random, body: bytes) -> bytes:
    """Return a body in chunks."""
    out = bytearray()
    at = 0
    while at < len(body):
        piece = body[at : at + rng.choice((1, 7, 1000, 65536))] if len(body) < 3000 else body[at : at + 30000]
        out += b"%x\r\n%b\r\n" % (len(piece), piece)
        at += len(piece)
    return bytes(out) + b"0\r\n\r\n"


def dechunked(data: bytes) -> tuple[bytes, int]:
    """Return the content of a chunked body, and where it ends (-1: not there)."""
    out = bytearray()
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return bytes(out), -1
        size = int(data[at:end], 16)
        at = end + 2
        if not size:
            return bytes(out), at + 2 if data[at : at + 2] == b"\r\n" else -1
        out += data[at : at + size]
        at += size + 2
        if at > len(data):
            return bytes(out), -1


def make_request(rng: random.Random, tag: bytes, chaos: int, largest: int = 1 << 20) -> Asked:
    """Return some request."""
    asked = Asked(tag, rng.choice((b"GET", b"GET", b"GET", b"HEAD", b"PUT", b"POST", b"POST", b"DELETE")))
    asked.minor = 0 if rng.random() < 0.2 else 1
    lines = [b"Host: a", b"Cookie: S=%b; x=y" % rng.choice((b"a", b"b", b"nobody"))]
    kind = rng.choice(("plain", "plain", "length", "length", "chunked", "expect", "upgrade", "here", "bad"))
    if kind == "bad" and not chaos:
        kind = "plain"
    if asked.minor and rng.random() < 0.05 and chaos:
        lines.append(b"Connection: close")
    elif not asked.minor:
        lines.append(b"Connection: keep-alive")
    target = b"/here" if kind == "here" else b"/" + tag
    body = b""
    if kind in ("length", "chunked", "expect"):
        size = rng.choice((0, 1, 10, 3000, 70000, 140000) if rng.random() < 0.3 else (1, 10, 300))
        size = min(size, largest)
        body = (b"<" + tag + b">GET /evil HTTP/1.1\r\nHost: a\r\n\r\n") * (size // 20 + 1)
        body = body[:size]
    if kind == "chunked" and asked.minor:
        lines.append(b"Transfer-Encoding: chunked")
        wire = chunks(rng, body)
        if chaos and rng.random() < 0.2:
            wire = wire[:-5] + b"zz\r\n\r\n"
            asked.body = None
    else:
        wire = body
        if kind in ("length", "chunked", "expect"):
            lines.append(b"Content-Length: %d" % len(body))
    if kind == "expect" and asked.minor:
        lines.append(b"Expect: 100-continue")
    if kind == "upgrade" and asked.minor:
        asked.upgrade = True
        lines = [b"Host: a", b"Connection: Upgrade", b"Upgrade: websocket"]
    if kind == "bad":
        asked.body = None
        lines.append(rng.choice((b"Content-Length: +5", b"Transfer-Encoding: gzip", b"A : b", b"Host: b", b"X: \0")))
    head = b"%b %b HTTP/1.%d\r\n%b\r\n\r\n" % (asked.method, target, asked.minor, b"\r\n".join(lines))
    asked.wire = head + wire
    asked.wait_at = len(head) if kind == "expect" and asked.minor else -1
    if asked.body is not None:
        asked.body = body
    return asked


class ClientPeer:
    """
    Sends requests, one behind the other, in any pieces.

    :ivar gave_up: it ended or broke the connection itself, and whatever it has is what it gets.
    :ivar ended: (after check) the last response was the last that there could be.
    """

    def __init__(self, fuzz: Any, sock: FakeSocket, requests: list[Asked], prefix: bytes = b"") -> None:
        self.fuzz = fuzz
        self.rng = rng = fuzz.rng
        self.sock = sock
        self.requests = requests
        self.wire = prefix + b"".join(asked.wire for asked in requests)
        self.sent = 0
        self.gave_up = self.ended = False
        self.tunnel = b"c2b-" * 50
        self._waits: list[int] = []
        self._pauses: list[int] = []
        at = self.start = len(prefix)
        for asked in requests:
            if asked.wait_at >= 0:
                self._waits.append(at + asked.wait_at)
            at += len(asked.wire)
            if rng.random() < 0.5:
                self._pauses.append(at)

    @property
    def finished(self) -> bool:
        """Everything was sent, or the connection is over."""
        return self.sent >= len(self.wire) or self.sock.closes > 0

    def send(self, *, patient: bool = True) -> None:
        """Send a piece, unless it waits for a word first."""
        if self.finished or self.gave_up:
            return
        stops = [stop for stop in (*self._waits, *self._pauses) if stop >= self.sent] if patient else []
        if stops and min(stops) == self.sent and self.rng.random() < 0.9:
            return
        end = min([self.sent + self.fuzz.piece(), len(self.wire), *(stop for stop in stops if stop > self.sent)])
        self.sock.give(self.wire[self.sent : end])
        self.sent = end

    def check(self, plans: dict[bytes, Planned]) -> list[int]:
        """Hold what it got against what was asked; return the statuses of the whole responses."""
        statuses: list[int] = []
        data, at = bytes(self.sock.outbound), 0
        cut = self.gave_up or self.sock.reset
        for number, asked in enumerate(self.requests):
            while True:
                end = data.find(b"\r\n\r\n", at)
                if end < 0:
                    return statuses
                status, fields = parse_head(data[at:end])
                at = end + 4
                tag = fields.get(b"x-tag", b"")
                if tag:
                    plan = plans[tag]
                    assert plan.tag == asked.tag, (number, tag, asked.tag)
                if status >= 200 or status == 101:
                    break
                assert asked.minor == 1
            if status == 101:
                assert asked.upgrade
                assert plans[tag].body.startswith(data[at:]), "a tunnel's bytes"
                assert self.fuzz.chaos or self.fuzz.abrupt or data[at:] == plans[tag].body, (
                    "the rest of a tunnel's bytes"
                )
                self.ended = True
                return [*statuses, 101]
            if not tag:
                assert status in OWN, status
                assert b"content-length" in fields
            assert asked.body is not None or not tag or status >= 200
            at = self._check_body(data, at, asked, status, fields, plans.get(tag), cut=cut)
            if at < 0:
                return statuses
            statuses.append(status)
            self.ended = number + 1 == len(self.requests) or fields.get(b"connection") == b"close"
            if self.ended:
                break
        assert data[at:] == b"", data[at : at + 200]
        return statuses

    def _check_body(
        self,
        data: bytes,
        at: int,
        asked: Asked,
        status: int,
        fields: dict[bytes, bytes],
        plan: Planned | None,
        *,
        cut: bool,
    ) -> int:
        """Return where the response ends; -1 when it was cut and that shows."""
        unread = plan is None and status in (400, 408, 414, 431, 501)  # answered before its method was known
        if (asked.method == b"HEAD" and not unread) or status in (204, 304):
            return at
        if b"transfer-encoding" in fields:
            assert asked.minor == 1
            body, length = dechunked(data[at:])
            end = at + length if length >= 0 else -1
        elif b"content-length" in fields:
            size = int(fields[b"content-length"])
            body = data[at : at + size]
            end = at + size if len(body) == size else -1
        else:
            assert fields.get(b"connection") == b"close"
            body = data[at:]
            end = -1 if cut else len(data)
        if plan is not None:
            assert plan.body.startswith(body), (asked.tag, len(body))
            assert end < 0 or (plan.whole and body == plan.body), ("a part passed for the whole", asked.tag, len(body))
        return end


def parse_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Return status and fields of a response."""
    first, *lines = head.split(b"\r\n")
    match = re.fullmatch(rb"HTTP/1\.1 (\d{3}) .*", first)
    assert match, first
    fields = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        assert name.lower() not in fields, line
        fields[name.lower()] = value
    return int(match[1]), fields


class BackendPeer:
    """
    One connection at a backend: reads requests strictly, plans a response to each, and gives it bit by bit.

    :ivar todo: bytes to give. :ivar after: what comes then: nothing, "fin" or "rst".
    """

    def __init__(self, fuzz: Any, sock: FakeSocket) -> None:
        self.fuzz = fuzz
        self.rng: random.Random = fuzz.rng
        self.sock = sock
        self.todo = b""
        self.after = ""
        self.over = False
        self.tunnel = False
        self._at = 0
        self._number = -1
        self._asked: Asked | None = None
        self._planned = False
        self._left = 0
        self._chunked = False
        self._body_from = 0
        self.given = 0

    @property
    def idle(self) -> bool:
        """No request is under way, as far as this side can know."""
        quiet = self._asked is None and not self.todo and not self.after and not self.over
        return quiet and self._number >= 0 and self._at == len(self.sock.outbound)

    @property
    def busy(self) -> bool:
        """A request is coming in on a connection that has served another one."""
        return self._number > 0 and self._asked is not None

    @property
    def tunnelled(self) -> bool:
        """All that the client sent into the tunnel is there; True also when there is no tunnel."""
        asked = self._asked
        return (
            not self.tunnel or asked is None or self.fuzz.tunnel_bytes(asked) == self.sock.outbound[self._body_from :]
        )

    def look(self) -> None:
        """Read what the proxy sent."""
        out = self.sock.outbound
        while self._at < len(out) and not self.over:
            if self.tunnel:
                asked = self._asked
                assert asked is not None
                sent = bytes(out[self._body_from :])
                assert self.fuzz.tunnel_bytes(asked).startswith(sent), "a tunnel's bytes"
                self._at = len(out)
                return
            if self._asked is None and not self._head(out):
                return
            if self._asked is not None and not self._body(out, self._asked):
                return

    def _head(self, out: bytearray) -> bool:
        end = out.find(b"\r\n\r\n", self._at)
        if end < 0:
            return False
        assert not self.todo, "a request before the last response was out"
        first, *lines = bytes(out[self._at : end]).split(b"\r\n")
        method, target, version = first.split(b" ")
        fields = [line.partition(b": ")[0].lower() for line in lines]
        assert version == b"HTTP/1.1"
        assert fields.count(b"host") == 1
        asked: Asked = self.fuzz.asked[target[1:]]
        assert method == asked.method
        self._number += 1
        asked.arrivals.append(Arrival(self, self._number, self.given))
        self._at = self._body_from = end + 4
        sizes = [int(line.split(b": ")[1]) for line in lines if line.lower().startswith(b"content-length: ")]
        self._chunked = b"transfer-encoding" in fields
        assert len(sizes) + self._chunked <= 1
        self._left = sizes[0] if sizes else 0
        self._asked = asked
        self._planned = False
        if self.rng.random() < 0.1 * self.fuzz.chaos:
            self._plan(asked)
        elif b"expect" in fields and self.rng.random() < 0.8:
            self.todo += self._interim(100, asked)
        return True

    def _body(self, out: bytearray, asked: Asked) -> bool:
        if self._chunked:
            body, length = dechunked(bytes(out[self._body_from :]))
            done = length >= 0
            self._at = self._body_from + length if done else len(out)
        else:
            self._at = min(len(out), self._body_from + self._left)
            body = bytes(out[self._body_from : self._at])
            done = self._at == self._body_from + self._left
        if asked.body is not None:
            assert asked.body.startswith(body), asked.tag
            assert not done or asked.body == body
        else:
            assert not done, "a malformed body passed for a whole one"
        if done:
            if not self._planned:
                self._plan(asked)
            if not self.tunnel:
                self._asked = None
        return done

    def _interim(self, status: int, asked: Asked) -> bytes:
        return b"HTTP/1.1 %d Hm\r\nX-Tag: %b\r\n\r\n" % (status, self.fuzz.plan(asked, b"", whole=True))

    def _plan(self, asked: Asked) -> None:
        """Decide what the response is."""
        rng, chaos = self.rng, self.fuzz.chaos
        self._planned = True
        if chaos and rng.random() < 0.04:
            self.over = True
            return  # never
        for _ in range(rng.choice((0, 0, 0, 1, 2, 20 if chaos else 1))):
            self.todo += self._interim(103, asked)
        size = rng.choice((0, 1, 20, 300, 5000, 70000, 300000) if rng.random() < 0.2 else (0, 1, 20, 300))
        size = min(size, self.fuzz.largest)
        body = (b"[%b %d]" % (asked.tag, self._number) * (size // 6 + 1))[:size]
        if asked.upgrade and rng.random() < 0.7:
            self._upgrade(asked)
            return
        kind = rng.choice(("length", "length", "length", "chunked", "close", "204", "304"))
        fate = rng.choice(("fin", "rst", "excess", "garbage")) if rng.random() < 0.08 * chaos else ""
        bare = asked.method == b"HEAD" or kind in ("204", "304")
        cuttable = not bare and (len(body) > 1 or kind == "chunked")
        whole = not (fate in ("fin", "rst") and cuttable and not (kind == "close" and fate == "fin"))
        tag = self.fuzz.plan(asked, b"" if bare else body, whole=whole)
        lines = [b"X-Tag: " + tag]
        wire = b"" if bare else body
        if kind == "chunked":
            lines.append(b"Transfer-Encoding: chunked")
            wire = b"" if bare else chunks(rng, body)
        elif kind in ("length", "304"):
            lines.append(b"Content-Length: %d" % len(body))
        closing = kind == "close" or rng.random() < 0.1
        if closing:
            lines.append(b"Connection: close")
        status = int(kind) if kind in ("204", "304") else 200
        if fate == "garbage":
            self.todo += rng.choice(
                (b"HTTP/1.1 200 OK\nA: b\r\n\r\n", b"SMTP 1\r\n\r\n", EVIL.replace(b": 4", b": -4"))
            )
            self.after, self.over = "", True
            return
        if not whole:
            wire = wire[: rng.randrange(len(wire))]
            self.after = fate
        elif closing or fate in ("fin", "rst"):
            self.after = "fin"
        if fate == "excess" and not closing:
            wire += EVIL
        self.todo += b"HTTP/1.1 %d Ok\r\n%b\r\n\r\n" % (status, b"\r\n".join(lines)) + wire
        self.over = bool(self.after) or fate == "excess"

    def _upgrade(self, asked: Asked) -> None:
        stream = (b"b2c-" * self.rng.choice((1, 10, 20000)))[: self.fuzz.largest]
        tag = self.fuzz.plan(asked, stream, whole=False)
        self.todo += (
            b"HTTP/1.1 101 Yes\r\nX-Tag: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % tag + stream
        )
        self.tunnel = True
        self._body_from = self._at
        self.after = self.rng.choice(("", "fin", "rst") if self.fuzz.chaos else ("", "fin"))

    def give(self) -> None:
        """Give a piece of what is to do."""
        if self.sock.connecting or self.sock.closes:
            return
        if self.todo:
            size = self.fuzz.piece()
            if self.over and self.todo.endswith(EVIL) and len(self.todo) - size < len(EVIL) + 2:
                size = len(self.todo)  # later it could be taken for the next response, by whoever
            piece, self.todo = self.todo[:size], self.todo[size:]
            self.sock.give(piece)
            self.given += len(piece)
        if not self.todo and self.after and self.rng.random() < 0.5:
            if self.after == "fin":
                self.sock.end()
            else:
                self.sock.break_off()
            self.after, self.over = "", True
