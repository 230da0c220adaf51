"""Times as lines of logs tell them."""

from __future__ import annotations

from datetime import datetime, timezone


class Milliseconds:
    """RFC 3339 in UTC with milliseconds; the last one is remembered, for lines of one moment are many."""

    def __init__(self) -> None:
        self._second = -1
        self._date = ""
        self._millisecond = -1
        self._text = ""

    def text(self, seconds: float) -> str:
        """:param seconds: since the epoch, cut to whole milliseconds."""
        millisecond = int(seconds * 1000)
        if millisecond != self._millisecond:
            second = millisecond // 1000
            if second != self._second:
                self._second = second
                self._date = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            self._millisecond = millisecond
            self._text = f"{self._date}.{millisecond % 1000:03d}Z"
        return self._text
