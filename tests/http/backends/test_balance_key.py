"""What hash policies hash for a request."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.backends.balance_key import BalanceKey
from netappliance.http.message import Request


class BalanceKeyTests(SynchronousTestCase):
    """Each form of ``balance_key``."""

    def test_each_form(self) -> None:
        """The address stands in for a header or cookie that is not there."""
        request = Request(b"GET", b"/a?b", 1, [b"x-user:  ann ", b'Cookie: u="bob"', b"X-Empty:"])
        for balance_key, expected in (
            ("client_address", b"192.0.2.1"),
            ("client_address_port", b"192.0.2.1:7"),
            ("uri", b"/a?b"),
            ("header:X-User", b"ann"),
            ("header:X-Other", b"192.0.2.1"),
            ("header:X-Empty", b"192.0.2.1"),
            ("cookie:u", b"bob"),
            ("cookie:v", b"192.0.2.1"),
        ):
            self.assertEqual(BalanceKey(balance_key).of(request, "192.0.2.1", 7), expected, balance_key)

    def test_a_unix_socket_has_no_address(self) -> None:
        """All its clients are one."""
        self.assertEqual(BalanceKey("client_address").of(Request(b"GET", b"/", 1, []), "", 0), b"")

    def test_tokens_are_for_datagrams(self) -> None:
        """Routes refuse such a cluster when the file is loaded."""
        self.assertRaises(ValueError, BalanceKey, "token")
