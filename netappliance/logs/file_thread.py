"""A thread that waits for a disk, so that the reactor need not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from netappliance.logs.line_log import AtOnce, Made


class FileThread(AtOnce):
    """
    Runs calls in the order they came in, one at a time, in a thread that the first one starts.

    :param reactor: is told of their results.
    """

    def __init__(self, reactor: Any, name: str) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, 1, name)

    def run(self, call: Callable[[], Made]) -> Deferred[Made]:
        """Let it be called; what is returned fires in the reactor's thread."""
        if not self._pool.started:
            self._pool.start()
        made: Deferred[Made] = deferToThreadPool(self._reactor, self._pool, call)
        return made

    def stop(self) -> None:
        """End the thread, after what it has to do."""
        if self._pool.started:
            self._pool.stop()
