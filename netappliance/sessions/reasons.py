"""Why a session ended: one closed vocabulary over every kind of traffic.

A close reason is side x phase x cause. The translations to the words other systems print (HAProxy's termination
letters, Envoy's response flags, Rubris' nine connection reasons) are at the end and are documented in docs/metrics.md.
"""

from __future__ import annotations

import errno
from enum import Enum
from typing import Final, NamedTuple


class Side(str, Enum):
    """Who made the session end."""

    CLIENT = "client"
    BACKEND = "backend"
    PROXY = "proxy"
    ADMIN = "admin"


class Phase(str, Enum):
    """What the session was doing when it ended."""

    ACCEPT = "accept"
    HANDSHAKE = "handshake"
    REQUEST = "request"
    QUEUE = "queue"
    CONNECT = "connect"
    HEADERS = "headers"
    DATA = "data"
    TUNNEL = "tunnel"
    IDLE = "idle"
    DRAIN = "drain"


class Cause(str, Enum):
    """What happened."""

    FIN = "fin"
    RST = "rst"
    TIMEOUT = "timeout"
    LIMIT = "limit"
    POLICY = "policy"
    PROTOCOL = "protocol"
    RESOURCE = "resource"
    TLS = "tls"
    INTERNAL = "internal"
    SHUTDOWN = "shutdown"


class CloseReason(NamedTuple):
    """Side, phase and cause of an ending; hashable, so that it is the key of a counter."""

    side: Side
    phase: Phase
    cause: Cause

    def __str__(self) -> str:
        return f"{self.side.value}/{self.phase.value}/{self.cause.value}"


INTERNAL: Final = CloseReason(Side.PROXY, Phase.DATA, Cause.INTERNAL)
SHUTDOWN: Final = CloseReason(Side.ADMIN, Phase.DRAIN, Cause.SHUTDOWN)
ZOMBIE: Final = CloseReason(Side.PROXY, Phase.IDLE, Cause.INTERNAL)

_RESOURCE_ERRORS: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))


def cause_of(error: OSError) -> Cause:
    """
    Judge a failed system call on a connected or connecting socket.

    :param error: what ``recv``, ``send`` or ``connect`` raised (or ``OSError(SO_ERROR, ...)``).
    :return: ``timeout`` (ETIMEDOUT), ``tls`` (EPROTO, which the TLS transport raises), ``resource`` (this host ran out
        of something) or ``rst`` (refused, reset, unreachable).
    """
    if error.errno == errno.ETIMEDOUT:
        return Cause.TIMEOUT
    if error.errno == errno.EPROTO:
        return Cause.TLS
    if error.errno in _RESOURCE_ERRORS:
        return Cause.RESOURCE
    return Cause.RST


# HAProxy, docs "Session state at disconnection": first letter is who, second the phase.
_HAPROXY_PHASE = {
    Phase.ACCEPT: "R",
    Phase.HANDSHAKE: "R",
    Phase.REQUEST: "R",
    Phase.QUEUE: "Q",
    Phase.CONNECT: "C",
    Phase.HEADERS: "H",
    Phase.DATA: "D",
    Phase.TUNNEL: "D",
    Phase.IDLE: "D",
    Phase.DRAIN: "D",
}
_HAPROXY_CAUSE = {Cause.RESOURCE: "R", Cause.INTERNAL: "I", Cause.LIMIT: "P", Cause.POLICY: "P", Cause.SHUTDOWN: "K"}
_HAPROXY_SIDE = {Side.CLIENT: "C", Side.BACKEND: "S", Side.PROXY: "P", Side.ADMIN: "K"}


def haproxy_letters(reason: CloseReason) -> str:
    """
    Translate to HAProxy's first two termination letters.

    :return: two characters such as ``--`` (a normal end), ``cD``, ``SC``.
    """
    if reason.cause is Cause.FIN and reason.phase in (Phase.DATA, Phase.TUNNEL, Phase.IDLE):
        return "--"
    phase = _HAPROXY_PHASE[reason.phase]
    if reason.cause is Cause.TIMEOUT:
        return ("s" if reason.side is Side.BACKEND else "c") + phase
    if reason.cause in (Cause.PROTOCOL, Cause.TLS):
        return ("S" if reason.side is Side.BACKEND else "P") + phase
    if reason.cause is Cause.RESOURCE and reason.side is Side.BACKEND:
        return "S" + phase
    return _HAPROXY_CAUSE.get(reason.cause, _HAPROXY_SIDE[reason.side]) + phase


def envoy_flags(reason: CloseReason) -> str:
    """
    Translate to Envoy's short response flag.

    :return: a flag such as ``UF`` (upstream connection failure), or ``-`` for a normal end.
    """
    side, phase, cause = reason
    if cause is Cause.FIN and phase in (Phase.DATA, Phase.TUNNEL, Phase.IDLE):
        return "-"
    if cause in (Cause.LIMIT, Cause.RESOURCE):
        if phase in (Phase.CONNECT, Phase.QUEUE):
            return "UO" if cause is Cause.LIMIT else "UH"
        return "OM"
    fixed = {
        Cause.POLICY: "UAEX",
        Cause.INTERNAL: "LR",
        Cause.SHUTDOWN: "LR",
        Cause.PROTOCOL: "UPE" if side is Side.BACKEND else "DPE",
    }
    if cause in fixed:
        return fixed[cause]
    if phase is Phase.CONNECT:
        return "DC" if side is Side.CLIENT else "UF"
    if cause is Cause.TIMEOUT:
        if phase is Phase.IDLE or phase is Phase.TUNNEL:
            return "SI"
        return "UT" if side is Side.BACKEND else "DT"
    if side is Side.BACKEND:
        return "UR" if cause is Cause.RST else "UC"
    return "DR" if cause is Cause.RST else "DC"


def rubris_reason(reason: CloseReason) -> str:
    """
    Translate to one of the nine reasons of Rubris' ConnectionTerminationHandler (seed 004).

    :return: ``CLIENT_CLOSE``, ``SERVER_CLOSE``, ``SOCKET_READ_CLOSED``, ``SOCKET_WRITE_ERROR``, ``MAX_READS``,
        ``MAX_WRITES``, ``PROTOCOL_READ_ERROR``, ``PROTOCOL_WRITE_ERROR`` or ``SERVER_ERROR``.
    """
    side, phase, cause = reason
    if cause is Cause.PROTOCOL or cause is Cause.TLS:
        return "PROTOCOL_WRITE_ERROR" if side is Side.BACKEND else "PROTOCOL_READ_ERROR"
    if cause is Cause.LIMIT:
        return "MAX_WRITES" if side is Side.BACKEND else "MAX_READS"
    if cause is Cause.INTERNAL or cause is Cause.RESOURCE:
        return "SERVER_ERROR"
    if cause is Cause.RST:
        return "SOCKET_WRITE_ERROR"
    if side is Side.CLIENT and cause is Cause.FIN:
        mid_message = phase in (Phase.HANDSHAKE, Phase.REQUEST, Phase.HEADERS)
        return "SOCKET_READ_CLOSED" if mid_message else "CLIENT_CLOSE"
    return "SERVER_CLOSE"
