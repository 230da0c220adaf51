"""What [tcp] sections may say, and what they may share."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.tcp.section import TcpSection


def text(*sections: str) -> str:
    """Return a file with these [tcp] sections, named a, b and so on."""
    head = "[cluster c]\nbackends = 127.0.0.1:1\n"
    return head + "".join(f"[tcp {name}]\ncluster = c\n{keys}\n" for name, keys in zip("abcd", sections, strict=False))


def loaded(*sections: str) -> tuple[TcpSection, ...]:
    """Return the sections of a good file."""
    return load(text(*sections), "t.ini", section_kinds()).sections("tcp")


class ServerNameTests(SynchronousTestCase):
    """``sni``."""

    def complaints(self, *sections: str) -> list[str]:
        """What an operator sees."""
        return str(self.assertRaises(ConfigErrors, loaded, *sections)).splitlines()

    def test_patterns(self) -> None:
        """In lower case, without the root's dot."""
        for value, expected in (
            ("", ()),
            ("www.Example.com., *.B.example", ("www.example.com", "*.b.example")),
            ("*", ("*",)),
            ("localhost, _a.b-c", ("localhost", "_a.b-c")),
        ):
            [section] = loaded(f"listen = tcp:1\nsni = {value}")
            self.assertEqual(section.sni, expected)

    def test_what_is_no_pattern(self) -> None:
        """No client sends it, or it means nothing."""
        label = "a" * 64
        for value in (
            "a..b",
            "*.",
            "a.*",
            "*a.b",
            "*.*.b",
            "a b",
            "a:443",
            "192.0.2.7",
            f"{label}.example",
            "ü.example",
        ):
            [line] = self.complaints(f"listen = tcp:1\nsni = {value}")
            self.assertIn("[tcp a] sni: a bad value", line)
        [line] = self.complaints("listen = tcp:1\nsni = a, b, A")
        self.assertIn("expected a once", line)

    def test_one_address_for_several(self) -> None:
        """All of them have ``sni``; other addresses may be shared with others, or with nobody."""
        shared = "listen = tcp:1:interface=127.0.0.1, tcp:2\nsni = a, *.b"
        other = "listen = tcp:1:interface=127.0.0.1, tcp:3\nsni = b, *"
        self.assertEqual(len(loaded(shared, other, "listen = tcp:0\nsni = a", "listen = tcp:0\nsni = a")), 4)
        loaded("listen = unix:a.sock\nsni = a", "listen = unix:a.sock\nsni = b")

    def test_with_and_without(self) -> None:
        """Nobody could say whose a connection is."""
        for first, second in (("sni = a", ""), ("", "sni = a"), ("", "")):
            [line] = self.complaints(f"listen = tcp:1\n{first}", f"listen = tcp:1\n{second}")
            self.assertIn("[tcp b] listen: the address is used by [tcp a] already (got 'tcp:1'; ", line)
            self.assertIn("expected an address of its own, or the same address with sni in both sections", line)

    def test_addresses_that_collide_but_differ(self) -> None:
        """Sharing is for one and the same, once in each section."""
        [line] = self.complaints("listen = tcp:1\nsni = a", "listen = tcp:1:interface=127.0.0.1\nsni = b")
        self.assertIn("[tcp b] listen: the address is used by [tcp a] already", line)
        [line] = self.complaints("listen = tcp:1, tcp:1\nsni = a")
        self.assertIn("[tcp a] listen: the address is used by [tcp a] already", line)
        self.assertIn("expected an address of its own;", line)

    def test_one_pattern_for_one_section(self) -> None:
        """On each address."""
        first = "listen = tcp:1, tcp:2\nsni = a, b"
        [line] = self.complaints(first, "listen = tcp:3, tcp:2\nsni = c, B", "listen = tcp:4\nsni = a")
        self.assertIn("[tcp b] sni: [tcp a] has the pattern already (got 'b'; expected each pattern once", line)

    def test_headers_come_before_names(self) -> None:
        """All sections of an address expect one, or none does."""
        modes = ("none", "send_v2"), ("send_v1", "none"), ("expect", "relay")
        for one, other in modes:
            loaded(
                f"listen = tcp:1\nsni = a\nproxy_protocol = {one}", f"listen = tcp:1\nsni = b\nproxy_protocol = {other}"
            )
        [line] = self.complaints(
            "listen = tcp:1\nsni = a\nproxy_protocol = expect", "listen = tcp:1\nsni = b\nproxy_protocol = send_v1"
        )
        self.assertIn("[tcp b] proxy_protocol: whether a PROXY header comes first is known before", line)
        loaded("listen = tcp:1\nsni = a\nproxy_protocol = expect", "listen = tcp:2\nsni = b")

    def test_tls_that_is_ended_is_not_passed_through(self) -> None:
        """One or the other."""
        lines = self.complaints("listen = tcp:1\nsni = a\ntls = yes\ncertificates = /nowhere/at/all")
        self.assertTrue(
            any("[tcp a] sni: is for TLS that is passed through, and tls = yes ends" in line for line in lines)
        )
