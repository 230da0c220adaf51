"""
Signals that reach the reactor as calls.

Twisted's own handlers make twistd end by the signal; an orderly stop is status 0.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

_log = Logger()


def on_signals(reactor: Any, calls: dict[signal.Signals, Callable[[signal.Signals], None]]) -> None:
    """
    Have signals call in the reactor's thread; to be called when the reactor runs.

    :param calls: signal -> what is called with it.
    """

    def arrived(number: int, _: Any) -> None:
        received = signal.Signals(number)
        reactor.callFromThread(calls[received], received)

    try:
        for number in calls:
            signal.signal(number, arrived)
    except ValueError:
        _log.info("not the main thread: signals stay as they are")
