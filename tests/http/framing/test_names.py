"""What is remembered of the names of fields, and where the first bad octet of a head is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.names import bad_octet, is_token, request_names


class FieldNamesTests(SynchronousTestCase):
    """Names and their verdicts; what becomes of each is tested with whole heads."""

    def test_the_memory_is_bounded(self) -> None:
        """2048 names, then it begins anew; what is no name is not kept."""
        names = request_names()
        for number in range(2048):
            self.assertEqual(names.special([b"X-%d: 1" % number]), [])
        self.assertIsNone(names.special([b"not a name: 1"]))
        self.assertEqual(len(names._known), 2048)
        self.assertEqual(names.special([b"X-One-More: 1", b"X-One-More: 2"]), [])
        self.assertEqual(list(names._known), [b"X-One-More"])


class OctetTests(SynchronousTestCase):
    """Heads and parts of heads."""

    def test_the_first_bad_octet(self) -> None:
        """A CR or LF that is no part of a line's end counts; a CR at the very end may become one."""
        for head, place in (
            (b"", -1),
            (b"GET / HTTP/1.1\r\nX: \t\x80\xff\r\n", -1),
            (b"a\r", -1),
            (b"a\r\n\r", -1),
            (b"\0", 0),
            (b"ab\r\n\x7f\0", 4),
            (b"ab\rc\0", 2),
            (b"a\nb", 1),
            (b"\n", 0),
            (b"a\r\r", 1),
            (b"a\r\n\n\r\n", 3),
        ):
            self.assertEqual(bad_octet(head), place, head)

    def test_tokens(self) -> None:
        """At least one octet, at most 256."""
        self.assertTrue(is_token(b"x" * 256))
        for text in (b"", b"x" * 257, b"a b", b"a\n"):
            self.assertFalse(is_token(text))
