"""Why exchanges end, besides what a failed system call says (docs/metrics.md has the table)."""

from __future__ import annotations

from typing import Final

from netappliance.sessions.reasons import Cause, CloseReason, Phase, Side

DONE: Final = CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)
CLOSED_BY_US: Final = CloseReason(Side.PROXY, Phase.DATA, Cause.FIN)
ANSWERED: Final = CloseReason(Side.PROXY, Phase.REQUEST, Cause.POLICY)
REFUSED: Final = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.PROTOCOL)
REFUSED_SIZE: Final = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.LIMIT)
REQUEST_TIMEOUT: Final = CloseReason(Side.CLIENT, Phase.REQUEST, Cause.TIMEOUT)
CLIENT_TIMEOUT: Final = CloseReason(Side.CLIENT, Phase.DATA, Cause.TIMEOUT)
NO_BACKEND: Final = CloseReason(Side.BACKEND, Phase.CONNECT, Cause.RESOURCE)
QUEUE_FULL: Final = CloseReason(Side.BACKEND, Phase.QUEUE, Cause.LIMIT)
QUEUE_TIMEOUT: Final = CloseReason(Side.BACKEND, Phase.QUEUE, Cause.TIMEOUT)
BACKEND_TIMEOUT: Final = CloseReason(Side.BACKEND, Phase.HEADERS, Cause.TIMEOUT)
BACKEND_STALLED: Final = CloseReason(Side.BACKEND, Phase.DATA, Cause.TIMEOUT)
BACKEND_GARBAGE: Final = CloseReason(Side.BACKEND, Phase.HEADERS, Cause.PROTOCOL)
BODY_GARBAGE: Final = CloseReason(Side.BACKEND, Phase.DATA, Cause.PROTOCOL)
