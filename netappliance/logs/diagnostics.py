"""
Diagnostics: what twisted.logger's events look like as text or JSON, and where twistd sends them.

One event is one line and control characters in it are escaped, so text from a peer cannot forge another event. Only a
traceback takes more lines in the text form; each of those begins with ``  | ``, which no event does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from twisted.application.service import IServiceCollection
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from zope.interface import implementer

from netappliance.errors import StartError
from netappliance.logs.reopenable import STDOUT, ReopenableFile

_log = Logger()

MAX_MESSAGE_CHARS = 8192
"""A message or a field beyond this is cut and ends in an ellipsis."""

MAX_TRACEBACK_CHARS = 32768

_LEGACY_KEYS = frozenset({"time", "message", "system", "isError", "format", "failure", "why", "printed", "log_io"})
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_ESCAPES |= {9: "\\t", 10: "\\n", 13: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def escape_control(text: str) -> str:
    r"""``text`` with control and line-separator characters as ``\n``, ``\x1b`` …: one line, harmless to a terminal."""
    return text.translate(_ESCAPES)


def rfc3339(seconds: float) -> str:
    """Wall-clock ``seconds`` since the epoch as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _cut(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _message(event: LogEvent) -> str:
    message = _cut(formatEvent(event))
    failure = event.get("log_failure")
    if not message and isinstance(failure, Failure):
        message = _cut(failure.getErrorMessage())
    return message


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    if not isinstance(failure, Failure):
        return ""
    return _cut(failure.getTraceback(), MAX_TRACEBACK_CHARS)


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return level.name if level is not None else "info"


def format_text(event: LogEvent) -> str:
    """``TIME [namespace#level] message``, newline included; traceback lines follow with ``  | `` before each."""
    head = (
        f"{rfc3339(event.get('log_time', 0.0))} [{event.get('log_namespace', '-')}#{_level(event)}] {_message(event)}"
    )
    lines = [escape_control(head)]
    lines.extend("  | " + escape_control(line) for line in _traceback(event).splitlines())
    return "\n".join(lines) + "\n"


def _field(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        return _cut(value.decode("utf-8", "backslashreplace"))
    try:
        return _cut(str(value))
    except Exception as error:  # noqa: BLE001 - a broken __str__ of somebody's object must not lose the event
        return f"unprintable {type(value).__name__}: {type(error).__name__}"


def format_json(event: LogEvent) -> str:
    """One JSON object per event, newline included: time, level, namespace, message, fields and maybe traceback."""
    row: dict[str, Any] = {
        "time": rfc3339(event.get("log_time", 0.0)),
        "level": _level(event),
        "namespace": str(event.get("log_namespace", "-")),
        "message": _message(event),
    }
    fields = {
        str(key): _field(value)
        for key, value in event.items()
        if not key.startswith("log_") and key not in _LEGACY_KEYS
    }
    if fields:
        row["fields"] = fields
    traceback = _traceback(event)
    if traceback:
        row["traceback"] = traceback
    return json.dumps(row) + "\n"


FORMATS: Mapping[str, Callable[[LogEvent], str]] = {"text": format_text, "json": format_json}


@implementer(ILogObserver)
class LineLogObserver:
    """
    Writes each event as one line; a line that the target does not take is counted, never raised and never logged.

    :param target: opened by the caller.
    :param log_format: ``text`` or ``json``.
    :param log_level: events below it are left out: ``debug``, ``info``, ``warn`` or ``error``.
    """

    def __init__(self, target: ReopenableFile, log_format: str, log_level: str = "info") -> None:
        self.target = target
        self._least = LogLevel.levelWithName(log_level)
        self.dropped = 0
        self._format = FORMATS[log_format]

    def __call__(self, event: LogEvent) -> None:
        """Format and write; called by twisted.logger for each event, from the reactor's thread and others."""
        level = event.get("log_level")
        if level is not None and level < self._least:
            return
        data = self._format(event).encode("utf-8", "backslashreplace")
        try:
            if self.target.write(data) < len(data):
                self.dropped += 1
        except OSError:
            self.dropped += 1

    def reopen(self) -> None:
        """Follow a log rotation; when the new file cannot be opened, the old one stays and says so."""
        try:
            self.target.reopen()
        except OSError as error:
            _log.error("cannot reopen {path}: {error}", path=self.target.path, error=str(error))


def log_target(options: Mapping[str, Any]) -> ReopenableFile | None:
    """
    Where twistd's options send the diagnostics.

    :param options: twistd's own options (``options.parent`` in ``makeService``): logger, syslog, logfile, nodaemon.
    :return: None when twistd must keep its own observer: ``--logger``, ``--syslog``, or a daemon told to log to stdout,
        which twistd refuses with a message of its own.
    """
    if options.get("logger") or options.get("syslog"):
        return None
    path = options.get("logfile") or ""
    nodaemon = bool(options.get("nodaemon"))
    if path == STDOUT and not nodaemon:
        return None
    if not path:
        path = STDOUT if nodaemon else "twistd.log"
    return ReopenableFile(path)


def install_log_observer(
    application: Componentized | IServiceCollection,
    log_format: str,
    options: Mapping[str, Any],
    log_level: str = "info",
) -> LineLogObserver | None:
    """
    Make twistd log through our observer: to be called in ``setServiceParent(application)`` of the root service, which
    twistd runs before it starts logging (``twisted.application.app.AppLogger.start``).

    With a component set, twistd leaves SIGUSR1 alone, so the appliance's own signal action may call ``reopen``.

    :param application: what twistd passes to ``setServiceParent``.
    :param log_format: ``text`` or ``json``, [appliance] log_format.
    :param options: twistd's own options.
    :param log_level: the least level that is written, [appliance] log_level.
    :return: the observer, or None when the options ask for another.
    :raises StartError: the log file cannot be opened.
    """
    target = log_target(options)
    if target is None or not isinstance(application, Componentized):
        return None
    try:
        target.open()
    except OSError as error:
        raise StartError(f"--logfile: cannot open {target.path}: {error.strerror}") from error
    observer = LineLogObserver(target, log_format, log_level)
    application.setComponent(ILogObserver, observer)
    return observer
