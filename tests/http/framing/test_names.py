"""What is remembered of the names of fields, and where the first bad octet of a head is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.framing.names import HOST, FieldNames, Special, bad_octet, is_token, request_names


def judged(names: FieldNames, lines: list[bytes]) -> list[Special] | None:
    """Return what is special in these lines; None when one is no field."""
    found: list[Special] = []
    head = b"\r\n".join(lines)
    return found if names.judge(names.sift(lines, found), lines, found, head, 0, len(head)) else None


class FieldNamesTests(SynchronousTestCase):
    """Names and their verdicts; what becomes of each is tested with whole heads."""

    def test_the_memory_is_bounded(self) -> None:
        """2048 names and as many lines, then it begins anew; what is no name is not kept."""
        names = request_names()
        for number in range(2048):
            self.assertEqual(judged(names, [b"X-%d: 1" % number]), [])
        self.assertIsNone(judged(names, [b"not a name: 1"]))
        self.assertEqual((len(names._known), len(names._passing)), (2048, 2048))
        self.assertEqual(judged(names, [b"X-One-More: 1", b"X-One-More: 2"]), [])
        self.assertEqual(list(names._known), [b"X-One-More"])
        self.assertEqual(names._passing, {b"X-One-More: 1", b"X-One-More: 2"})

    def test_the_memory_of_lines_that_do_not_pass_is_bounded(self) -> None:
        """Likewise; each is judged the same when it comes again."""
        names = request_names()
        for number in range(2048):
            for _ in range(2):
                found = judged(names, [b"Host: a%d" % number])
                self.assertEqual(found, [(HOST, b"Host: a%d" % number, b"a%d" % number)])
        self.assertEqual(len(names._others), 2048)
        self.assertEqual(judged(names, [b"Host: more"]), [(HOST, b"Host: more", b"more")])
        self.assertEqual(list(names._others), [b"Host: more"])

    def test_lines_that_pass_are_known_when_they_come_again(self) -> None:
        """But for long ones, and those whose values seldom come twice or are secret."""
        names = request_names()
        passing = [b"Accept: */*", b"X: " + b"x" * 157]
        special = [b"Host:\ta ", b"Connection: close", b"Te: x"]
        others = [b"X: " + b"x" * 158, b"Cookie: a=b", b"Authorization: a", b"X-Forwarded-For: 1"]
        first = judged(names, [*passing, *special, *others])
        lines = [*passing, *special, *others]
        found: list[Special] = []
        self.assertEqual(names.sift(lines, found), others)
        self.assertEqual((lines, found), ([*passing, *others], first[:3] if first else None))
        self.assertEqual(found[0], (HOST, b"Host:\ta ", b"a"))

    def test_special_lines_are_remembered_up_to_a_limit(self) -> None:
        """2048 of them."""
        names = request_names()
        for number in range(2049):
            judged(names, [b"Host: %d" % number])
        self.assertEqual(list(names._others), [b"Host: 2048"])


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
