"""The requests that are sent: alike in every run, varied within one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.http import browser_requests


class RequestTests(SynchronousTestCase):
    """Heads as a browser sends them."""

    def test_every_run_sends_the_same(self) -> None:
        """Whatever differs between two runs is not the load."""
        self.assertEqual(browser_requests(8), browser_requests(8))

    def test_all_heads_differ(self) -> None:
        """A cache of whole requests would gain nothing."""
        heads = browser_requests(256).split(b"\r\n\r\n")
        self.assertEqual((len(heads), len(set(heads)), heads[-1]), (257, 257, b""))
        self.assertTrue(all(head.startswith(b"GET /") and head.count(b"\r\n") == 13 for head in heads[:-1]))
        self.assertTrue(all(b"\r\nConnection: keep-alive\r\n" in head for head in heads[:-1]))

    def test_a_post_says_how_long_its_body_is(self) -> None:
        """The body itself is the script's; a GET has none."""
        heads = browser_requests(2, body=16384).split(b"\r\n\r\n")[:-1]
        self.assertTrue(all(head.startswith(b"POST /") and b"\r\nContent-Length: 16384\r\n" in head for head in heads))
        self.assertNotIn(b"Content-Length", browser_requests(2, close=True))
        self.assertIn(b"\r\nConnection: close\r\n", browser_requests(1, close=True))
