"""The one buffer that all reads of bulk data go to first."""

from __future__ import annotations

#: bytes of the buffer, and so the most that one side of a relay keeps unsent: the watermark
BUFFER_SIZE = 512 * 1024
#: bytes of a read at first and after a short write; a stream whose peer takes all doubles it up to the whole buffer,
#: which halves the CPU of bulk transfers, and one whose peer does not keeps little
FIRST_READ = 64 * 1024


class ReceiveBuffer:
    """
    Memory that every read of a poller's sockets may use; what is in it is valid until the next one.

    :ivar data: for ``recv_into``. :ivar view: of the same memory, for ``send``. :ivar size: bytes.
    :ivar first_read: bytes of a read at first.
    """

    __slots__ = ("data", "first_read", "size", "view")

    def __init__(self, size: int = BUFFER_SIZE, first_read: int = FIRST_READ) -> None:
        self.size = size
        self.first_read = first_read
        self.data = bytearray(size)
        self.view = memoryview(self.data)
