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

    def test_either_side_may_do_nothing(self) -> None:
        """Which is the default."""
        filter_ = build("kind = concatenate\non_read = prepend\nbytes = aGk=")
        read, write = datagram(b"x"), datagram(b"x")
        self.assertEqual((filter_.read(read), filter_.write(write)), (None, None))
        self.assertEqual((read.payload, write.payload), (b"hix", b"x"))

    def test_the_largest_datagram(self) -> None:
        """Exactly as much as UDP carries passes; one octet more is dropped as it was."""
        filter_ = build("kind = concatenate\non_read = append\nbytes = aGk=")
        full = datagram(b"x" * (65507 - 2))
        self.assertIsNone(filter_.read(full))
        self.assertEqual(len(full.payload), 65507)
        larger = datagram(b"x" * (65507 - 1))
        self.assertEqual((filter_.read(larger), len(larger.payload)), (Drop.TOO_LARGE, 65506))
