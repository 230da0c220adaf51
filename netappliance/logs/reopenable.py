"""An append-only file of lines that can be reopened for log rotation and never blocks on a slow reader of a pipe."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

PIPE_ATOMIC_BYTES = 4096
"""Writes of at most this many bytes to a pipe are whole or not at all (PIPE_BUF, pipe(7))."""

STDOUT = "-"
FILE_MODE = 0o640


class ReopenableFile:
    """
    The target of the access log or of the diagnostics.

    A regular file is written at once; a pipe, socket or terminal only as far as it has room, so that a stuck reader
    costs lines and not the reactor. ``reopen`` makes the new file first: when that fails, the old one stays.

    :param path: a file (made absolute now, since twistd changes its directory later) or ``-`` for standard output.
    """

    __slots__ = ("_descriptor", "_owned", "_polled", "path")

    def __init__(self, path: str) -> None:
        self.path = path if path == STDOUT else str(Path(path).absolute())
        self._descriptor = -1
        self._owned = False
        self._polled = False

    @property
    def is_open(self) -> bool:
        """True between ``open`` and ``close``."""
        return self._descriptor >= 0

    def open(self) -> None:
        """
        Open for appending; nothing happens when it is open already.

        :raises OSError: the path cannot be opened (a FIFO without a reader is ENXIO, not a wait).
        """
        if self._descriptor < 0:
            self._use(self._open_descriptor())

    def reopen(self) -> None:
        """
        Open the path anew and leave the old file, as after a rename by logrotate. Standard output stays as it is.

        :raises OSError: the path cannot be opened; the old file stays in use.
        """
        descriptor = self._open_descriptor()
        self.close()
        self._use(descriptor)

    def close(self) -> None:
        """Close what this object opened; standard output is left alone."""
        if self._owned and self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._owned = False

    def write(self, data: bytes) -> int:
        """
        Append as much as goes without waiting.

        :param data: whole lines, each ending in a newline.
        :return: bytes taken; what is left is the caller's to keep or to drop.
        :raises OSError: the write failed, or the file is not open (EBADF).
        """
        if not self._polled:
            return os.write(self._descriptor, data)
        taken = 0
        while taken < len(data) and self._has_room():
            end = _chunk_end(data, taken)
            written = os.write(self._descriptor, data[taken:end])
            taken += written
            if taken < end:
                break
        return taken

    def _open_descriptor(self) -> int:
        if self.path == STDOUT:
            return 1
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        return os.open(self.path, flags, FILE_MODE)

    def _use(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._owned = self.path != STDOUT
        self._polled = not stat.S_ISREG(os.fstat(descriptor).st_mode)

    def _has_room(self) -> bool:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        return bool(poller.poll(0))


def _chunk_end(data: bytes, start: int) -> int:
    """Where a write that begins at ``start`` should end: at a line's end, within what a pipe takes as a whole."""
    limit = start + PIPE_ATOMIC_BYTES
    if len(data) <= limit:
        return len(data)
    newline = data.rfind(b"\n", start, limit)
    return newline + 1 if newline >= 0 else limit
