"""The one buffer that all reads of bulk data go to first."""

from __future__ import annotations

#: bytes of the buffer, and so the most that one side of a relay keeps unsent: the watermark. A full read fits one
#: segment of the largest size that the kernel hands on whole (64 KiB with its headers): 64 KiB of payload leave a tiny
#: second one behind each, and longer reads keep the next process waiting; both cost a fifth of the throughput
BUFFER_SIZE = 60 * 1024


class ReceiveBuffer:
    """
    Memory that every read of a poller's sockets may use; what is in it is valid until the next one.

    :ivar data: for ``recv_into``. :ivar view: of the same memory, for ``send``. :ivar size: bytes, of a read too.
    """

    __slots__ = ("data", "size", "view")

    def __init__(self, size: int = BUFFER_SIZE) -> None:
        self.size = size
        self.data = bytearray(size)
        self.view = memoryview(self.data)
