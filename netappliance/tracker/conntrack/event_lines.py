"""A connection event as a line: JSON, or the text of libnetfilter_conntrack. Sans-I/O."""

from __future__ import annotations

from datetime import datetime, timezone
from json.encoder import encode_basestring_ascii as quote
from typing import Protocol

from netappliance.tracker.conntrack import ctnetlink
from netappliance.tracker.conntrack.ctnetlink import ATTRIBUTE, Change, Ends, address, endpoint, ends
from netappliance.tracker.counting.totals import HOW, NO_GAUGE, STATE_GAUGE, Totals

_EVENTS = ("new", "update", "destroy")
_STATES = ("Opening", "Open", "Closing", "Closed", "None")
_TCP_STATES = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}
_ASSURED, _OFFLOAD, _HARDWARE = 0x4, 0x4000, 0x8000
_NO_ENDS = Ends(b"", b"", 0, 0, 0)


class IEnding(Protocol):
    """See :class:`netappliance.tracker.conntrack.table.Ending`."""

    @property
    def how(self) -> int:
        """Index of HOW."""

    @property
    def duration_s(self) -> float:
        """Seconds, -1 when not known."""


def json_line(change: Change, totals: Totals, state: int, ending: IEnding | None, wall: float) -> str:
    """
    Return an event as one JSON object: conntrack_exporter's keys, then ours.

    :param state: TCP's as known now, -1 for none: an event says it only when it changed.
    :param wall: seconds since the epoch, used where the event has no time of its own.
    """
    orig, reply = ends(change.orig) or _NO_ENDS, ends(change.reply) or _NO_ENDS
    source, destination = _end(orig.source, orig.source_port), _end(orig.destination, orig.destination_port)
    backend = _end(reply.source, reply.source_port)
    remote = {"out": destination, "in": source}.get(totals.direction, backend)
    gauge = STATE_GAUGE[state & 0xFF] if totals.tcp else NO_GAUGE
    when = change.event_ns / 1e9 if change.event_ns > 0 else wall
    line = (
        f'{{"event_type":"{_EVENTS[change.kind]}","original_source_host":"{source}",'
        f'"original_destination_host":"{destination}","reply_source_host":"{backend}",'
        f'"reply_destination_host":"{_end(reply.destination, reply.destination_port)}","remote_host":"{remote}",'
        f'"state":"{_STATES[gauge]}","time":"{_rfc3339(when)}","protocol":"{_PROTOCOLS.get(orig.protocol, "unknown")}",'
        f'"direction":"{totals.direction}","group":{quote(totals.group)},"zone":{change.zone},'
        f'"mark":{max(change.mark, 0)},"id":{max(change.ident, 0)}'
    )
    if change.orig_packets >= 0 or change.reply_packets >= 0:
        line += (
            f',"original_packets":{change.orig_packets},"original_bytes":{change.orig_bytes},'
            f'"reply_packets":{change.reply_packets},"reply_bytes":{change.reply_bytes}'
        )
    if ending is not None:
        line += f',"how":"{HOW[ending.how]}"'
        if ending.duration_s >= 0:
            line += f',"duration_s":{ending.duration_s:.6f}'
    return line + "}\n"


def netfilter_line(change: Change) -> str:
    """Return an event as ``conntrack -E`` prints it: what the message carries, in that order."""
    orig = ends(change.orig) or _NO_ENDS
    words = [f"{('[NEW]', '[UPDATE]', '[DESTROY]')[change.kind]:>9}"]
    words.append(f"{_PROTOCOLS.get(orig.protocol, 'unknown'):<8} {orig.protocol}")
    if change.timeout >= 0:
        words.append(str(change.timeout))
    if 0 <= change.state < len(_TCP_STATES):
        words.append(_TCP_STATES[change.state])
    words += _way(change.orig, change.orig_packets, change.orig_bytes)
    if change.status >= 0 and not change.status & ctnetlink.SEEN_REPLY:
        words.append("[UNREPLIED]")
    words += _way(change.reply, change.reply_packets, change.reply_bytes)
    if change.status >= 0:
        flags = ((_HARDWARE, "[HW_OFFLOAD]"), (_OFFLOAD, "[OFFLOAD]"), (_ASSURED, "[ASSURED]"))
        words += [word for bit, word in flags if change.status & bit][:1]
    if change.mark >= 0:
        words.append(f"mark={change.mark}")
    if change.zone:
        words.append(f"zone={change.zone}")
    return " ".join(words) + "\n"


def _way(raw: bytes, packets: int, octets: int) -> list[str]:
    found = ends(raw)
    if found is None:
        return []
    words = [f"src={address(found.source)}", f"dst={address(found.destination)}"]
    if found.protocol in (ctnetlink.ICMP, ctnetlink.ICMPV6):
        ident, kind, code = _echo(raw)
        words.append(f"type={kind} code={code} id={ident}")
    elif found.source_port or found.destination_port:
        words.append(f"sport={found.source_port} dport={found.destination_port}")
    if packets >= 0:
        words.append(f"packets={packets} bytes={octets}")
    return words


def _echo(raw: bytes) -> tuple[int, int, int]:
    """Return (id, type, code) of an ICMP or ICMPv6 tuple; zeros where it has none."""
    values = [0, 0, 0]
    offset = ATTRIBUTE.unpack_from(raw)[0] + 4  # behind the addresses and the header of CTA_TUPLE_PROTO
    while offset + 4 < len(raw):
        length, kind = ATTRIBUTE.unpack_from(raw, offset)
        if length < 5:
            break
        kind &= 0x3FFF
        if 4 <= kind <= 9:
            values[(kind - 4) % 3] = int.from_bytes(raw[offset + 4 : offset + length], "big")
        offset += (length + 3) & ~3
    return values[0], values[1], values[2]


def _end(packed: bytes, port: int) -> str:
    return endpoint(packed, port) if packed else ""


def _rfc3339(seconds: float) -> str:
    whole = int(seconds)
    try:
        date = datetime.fromtimestamp(whole, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "1970-01-01T00:00:00.000Z"  # the kernel's clock is garbage
    return f"{date}.{int((seconds - whole) * 1000):03d}Z"
