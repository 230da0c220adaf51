"""The access log: one line for every session that ended, written in batches, never at the cost of a session."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from json import dumps
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from zope.interface import implementer

from netappliance.interfaces import IConnectionObserver
from netappliance.logs.dates import Milliseconds
from netappliance.logs.file_thread import FileThread
from netappliance.logs.line_log import AtOnce, CallLater, LineLog
from netappliance.logs.reopenable import ReopenableFile
from netappliance.sessions.reasons import SHUTDOWN, CloseReason, haproxy_letters
from netappliance.sessions.session import Session, format_address

MAX_NOTES_CHARS = 4096
"""Notes of observers and filters beyond this are left out of the line."""


Formatter = Callable[[Session, float], str]


class _Letters(dict[CloseReason, str]):
    """HAProxy's letters by reason, translated once each."""

    def __missing__(self, reason: CloseReason) -> str:
        letters = self[reason] = haproxy_letters(reason)
        return letters


_letters = _Letters()


class JsonLines:
    """
    One JSON object per line with a fixed order of fields; all that is not printable ASCII is escaped.

    Written out by hand because ``json.dumps`` of the same object takes three times as long, for every connection.
    """

    def __init__(self) -> None:
        self._dates = Milliseconds()

    def __call__(self, session: Session, started: float) -> str:
        """:param started: wall-clock seconds since the epoch. :return: the line with its newline."""
        reason = session.close_reason or SHUTDOWN
        side, phase, cause = reason
        backend = session.backend.id if session.backend is not None else ""
        notes = notes_text(session.notes) if session.notes else ""
        return (
            f'{{"id":{session.id},"kind":{quote(session.kind)},"listener":{quote(session.listener)},'
            f'"client":{quote(format_address(session.client))},"local":{quote(format_address(session.local))},'
            f'"cluster":{quote(session.cluster)},"backend":{quote(backend)},"start":"{self._dates.text(started)}",'
            f'"duration_s":{session.duration:.6f},'
            f'"rx_bytes":{session.rx_bytes},"tx_bytes":{session.tx_bytes},'
            f'"rx_packets":{session.rx_packets},"tx_packets":{session.tx_packets},"side":"{side.value}",'
            f'"phase":"{phase.value}","cause":"{cause.value}","code":"{_letters[reason]}"{notes}}}\n'
        )


def notes_text(notes: dict[str, Any]) -> str:
    """Return the notes as the last member of a JSON line, with its comma."""
    text = dumps({str(key): value for key, value in notes.items()}, default=str)
    return f',"notes":{text}' if len(text) <= MAX_NOTES_CHARS else ',"notes_left_out":true'


def bare(text: str) -> str:
    """Escape text that stands without quotes between spaces, as JSON would and spaces too."""
    return quote(text)[1:-1].replace(" ", "\\u0020")


def common_line(session: Session, started: float) -> str:
    """
    The shape of the NCSA common log format: host, two dashes, date, what in quotes, result, bytes to the client.

    Result is HAProxy's two letters. Our own follow: bytes from the client, duration in seconds, session id, reason.
    """
    reason = session.close_reason or SHUTDOWN
    backend = session.backend.id if session.backend is not None else "-"
    date = datetime.fromtimestamp(int(started), timezone.utc).strftime("%d/%b/%Y:%H:%M:%S +0000")
    what = quote(f"{session.kind} {session.listener} {session.cluster or '-'}/{backend}")
    client = bare(format_address(session.client))
    return (
        f"{client} - - [{date}] {what} {_letters[reason]} {session.rx_bytes} {session.tx_bytes} {session.duration:.3f} "
        f"{session.id} {reason}\n"
    )


@implementer(IConnectionObserver)
class AccessLog(LineLog):
    """
    Observes sessions and writes a line for each that ended, as :class:`LineLog` writes lines.

    :param target: opened when the service starts.
    :param log_format: ``json`` or ``common``.
    :param buffer_bytes: limit on lines that wait.
    :param clock: monotonic seconds. :param wall: seconds since the epoch.
    :param call_later: the reactor's ``callLater``. :param runner: as for :class:`LineLog`.

    :ivar log_format: as given.
    """

    name = "access_log"

    def __init__(
        self,
        target: ReopenableFile,
        log_format: str,
        *,
        buffer_bytes: int,
        clock: Callable[[], float],
        wall: Callable[[], float],
        call_later: CallLater,
        runner: AtOnce | None = None,
    ) -> None:
        super().__init__("[appliance] access_log", target, buffer_bytes, call_later, clock, runner)
        self.log_format = log_format
        self.wall = wall
        self._format: Formatter = JsonLines() if log_format == "json" else common_line

    def session_opened(self, session: Session) -> None:
        """Allow; a session has no line until it ends."""

    def session_closed(self, session: Session) -> None:
        """Make the session's line and let it wait for the next write."""
        if session.logged:
            # the end is now: the start on the wall clock follows from the monotonic duration, whatever the clock did
            self.put(self._format(session, self.wall() - session.duration))


def make_access_log(section: Any, clock: Callable[[], float], reactor: Any) -> AccessLog | None:
    """
    Return the access log that ``section``, [appliance], asks for; None for ``none``.

    It is a service, to be started before traffic and stopped after the last session ended. A thread of its own waits
    for the disk.
    """
    if section.access_log == "none":
        return None
    return AccessLog(
        ReopenableFile(section.access_log),
        section.access_log_format,
        buffer_bytes=section.access_log_buffer,
        clock=clock,
        wall=time.time,
        call_later=reactor.callLater,
        runner=FileThread(reactor, "access log"),
    )
