"""Why exchanges end, besides what a failed system call says (docs/metrics.md has the table)."""

from __future__ import annotations

from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side

DONE = CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)
CLOSED_BY_US = CloseReason(Side.PROXY, Phase.DATA, Cause.FIN)
ANSWERED = CloseReason(Side.PROXY, Phase.REQUEST, Cause.POLICY)
REFUSED = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.PROTOCOL)
REFUSED_SIZE = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.LIMIT)
REQUEST_TIMEOUT = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.TIMEOUT)
CLIENT_TIMEOUT = CloseReason(Side.CLIENT, Phase.DATA, Cause.TIMEOUT)
NO_BACKEND = CloseReason(Side.BACKEND, Phase.CONNECT, Cause.RESOURCE)
QUEUE_FULL = CloseReason(Side.BACKEND, Phase.QUEUE, Cause.LIMIT)
QUEUE_TIMEOUT = CloseReason(Side.BACKEND, Phase.QUEUE, Cause.TIMEOUT)
BACKEND_TIMEOUT = CloseReason(Side.BACKEND, Phase.HEADERS, Cause.TIMEOUT)
BACKEND_STALLED = CloseReason(Side.BACKEND, Phase.DATA, Cause.TIMEOUT)
BACKEND_GARBAGE = CloseReason(Side.BACKEND, Phase.HEADERS, Cause.PROTOCOL)
BODY_GARBAGE = CloseReason(Side.BACKEND, Phase.DATA, Cause.PROTOCOL)
