"""Bytes that are added."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import MAX_PAYLOAD, Drop
from tests.udp.filters.support import build, datagram


class ConcatenateTests(SynchronousTestCase):
    """Either side, either end."""

    def test_concatenate_adds_on_the_side_asked_for(self) -> None:
        """And drops what would not fit."""
        filter_ = build("kind = concatenate\non_read = append\non_write = prepend\nbytes = aGk=")
        read, write = datagram(b"x"), datagram(b"x")
        filter_.read(read)
        filter_.write(write)
        self.assertEqual((read.payload, write.payload), (b"xhi", b"hix"))
        self.assertEqual(filter_.read(datagram(b"x" * MAX_PAYLOAD)), Drop.TOO_LARGE)
