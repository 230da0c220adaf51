"""The values of ``[cluster NAME]``: defaults, edges, and the words for what is refused."""

from __future__ import annotations

import dataclasses
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend_section import BackendSection, backend_line, backend_lines
from netappliance.clusters.section import ClusterSection
from netappliance.config.ini import parse
from netappliance.config.schema import parse_section
from netappliance.errors import ConfigProblem


def section(lines: str = "") -> ClusterSection:
    """The section with these lines; raises ValueError for what is wrong with them."""
    (raw,), _ = parse(f"[cluster c]\n{lines}\n")
    problems: list[ConfigProblem] = []
    made = parse_section(ClusterSection, raw, problems)
    if problems:
        raise ValueError("; ".join(problem.render("f") for problem in problems))
    assert isinstance(made, ClusterSection)
    return made


class SectionTests(SynchronousTestCase):
    """Keys and values."""

    def refused(self, key: str, value: str, words: str) -> None:
        """Check what an operator is told."""
        self.assertIn(words, str(self.assertRaises(ValueError, section, f"{key} = {value}")), (key, value))

    def test_defaults(self) -> None:
        """As the documentation promises them."""
        expected: dict[str, Any] = {
            "name": "c",
            "backends": (),
            "balance": "round_robin",
            "balance_key": "client_address",
            "connect_timeout_s": 3.0,
            "retries": 3,
            "sticky_cookie": "",
            "sticky_path": "/",
            "sticky_secure": "auto",
            "sticky_http_only": True,
            "sticky_same_site": "lax",
            "sticky_max_age_s": 0.0,
            "sticky_secret": "",
            "health_check": None,
            "tls": None,
            "resolve_interval_s": 30.0,
            "resolve_max": 16,
            "pool_max_idle": 256,
            "pool_idle_timeout_s": 30.0,
            "max_queue": 1024,
            "queue_timeout_s": 5.0,
            "answers": (),
        }
        made = section()
        found = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
        self.assertEqual({name: found[name] for name in expected}, expected)

    def test_keys_are_called_as_they_are_documented(self) -> None:
        """Durations without their unit's suffix."""
        made = section(
            "connect_timeout = 1s\nsticky_max_age = 2s\nresolve_interval = 3s\n"
            "pool_idle_timeout = 4s\nqueue_timeout = 5s\noutlier_interval = 6s\noutlier_time = 7s\n"
            "outlier_max_time = 8s\nslow_start = 9s"
        )
        outliers = (made.outlier_interval_s, made.outlier_time_s, made.outlier_max_time_s, made.slow_start_s)
        self.assertEqual(outliers, (6.0, 7.0, 8.0, 9.0))
        found = (made.connect_timeout_s, made.sticky_max_age_s, made.resolve_interval_s)
        self.assertEqual((*found, made.pool_idle_timeout_s, made.queue_timeout_s), (1.0, 2.0, 3.0, 4.0, 5.0))

    def test_the_edges_of_numbers(self) -> None:
        """Both ends belong to what is allowed."""
        for key, low, high in (
            ("retries", 1, 100),
            ("resolve_max", 1, 1024),
            ("pool_max_idle", 0, 65535),
            ("max_queue", 0, 1_000_000),
            ("retry_budget", 0, 1000),
            ("retry_budget_min", 0, 1_000_000),
            ("outlier_failures", 0, 1000),
            ("outlier_gateway_errors", 0, 1000),
            ("outlier_min_requests", 1, 1_000_000),
            ("outlier_max_ejected", 0, 100),
            ("panic_threshold", 0, 100),
        ):
            for value in (low, high):
                self.assertEqual(getattr(section(f"{key} = {value}"), key), value)
            for value in (low - 1, high + 1):
                self.refused(key, str(value), f"a whole number from {low} to {high}")

    def test_factors(self) -> None:
        """A latency that is as usual is no outlier's."""
        for value in ("0", "1.001", "1000"):
            self.assertEqual(section(f"outlier_latency = {value}").outlier_latency, float(value))
        for value in ("1", "0.5"):
            self.refused("outlier_latency", value, "0, or a number above 1")
        for value in ("0", "100"):
            self.assertEqual(section(f"outlier_success_rate = {value}").outlier_success_rate, float(value))
        for value in ("-0.5", "-1", "100.5"):
            self.refused("outlier_success_rate", value, "100")
        self.refused("outlier_latency", "1001", "1000")

    def test_what_is_tried_again(self) -> None:
        """Reasons from a closed list, on a line or on several; none at all is allowed."""
        self.assertEqual(section("").retry_on, {"connect", "broken"})
        for value, reasons in (
            ("", set()),
            ("timeout", {"timeout"}),
            ("502, 503,504,broken", {"502", "503", "504", "broken"}),
        ):
            self.assertEqual(section(f"retry_on = {value}").retry_on, reasons)
        self.refused("retry_on", "brokn", "connect, broken, timeout, 502, 503, 504; did you mean 'broken'?")
        self.refused("retry_on", "connect broken", "connect, broken, timeout, 502, 503, 504")
        self.refused("retry_on", "500", "connect, broken, timeout, 502, 503, 504")

    def test_what_is_hashed(self) -> None:
        """An address, or a piece of the request."""
        longest = "x" * 128
        for value in (
            *("client_address", "client_address_port", "uri", "token", "header:X-User", "cookie:a"),
            *(f"header:{longest}", f"cookie:{longest}", "header:!#$%&'*+.^_`|~09azAZ-"),
        ):
            self.assertEqual(section(f"balance_key = {value}").balance_key, value)
        words = "client_address | client_address_port | header:NAME | cookie:NAME | uri | token"
        for value in ("client", "header:", f"header:{longest}x", "cookie:a b", "Header:X", "header:a:b", "query:x", ""):
            self.refused("balance_key", value, words)

    def test_policies(self) -> None:
        """Every known one; others with the list and the nearest."""
        names = ["round_robin", "random", "least_connections", "power_of_two", "rendezvous", "maglev", "peak_ewma"]
        for name in names:
            self.assertEqual(section(f"balance = {name}").balance, name)
        self.refused("balance", "maglef", f"{' | '.join(names)}; did you mean 'maglev'?")

    def test_sticky_cookies(self) -> None:
        """Names, paths and attributes that a browser takes."""
        for key, good, bad, words in (
            ("sticky_cookie", ("", "x" * 64, "__Host-a"), ("x" * 65, "a b", "a=b", "ä"), "a cookie's name: up to 64"),
            (
                "sticky_path",
                ("/", "/" + "a" * 255, "/!:<~"),
                ("", "a", "/" + "a" * 256, "/a b", "/ä"),
                "a path from its /",
            ),
            ("sticky_secure", ("auto", "yes", "no"), ("on", ""), "auto | yes | no"),
            ("sticky_same_site", ("lax", "strict", "none", "off"), ("Lax", ""), "lax | strict | none | off"),
            ("sticky_http_only", ("yes", "no"), ("on",), "yes or no"),
        ):
            for value in good:
                section(f"{key} = {value}")
            for value in bad:
                self.refused(key, value, words)
        self.refused("sticky_path", "/a;b", "a path from its /")

    def test_tls(self) -> None:
        """Its words are those of the room that does it."""
        made = section("tls = verify name=a.test")
        assert made.tls is not None
        self.assertEqual(made.tls.name, "a.test")
        self.refused("tls", "yes", "verify | insecure")


class BackendLineTests(SynchronousTestCase):
    """The lines of ``backends``."""

    def test_addresses(self) -> None:
        """Both families, names, unix sockets; written in their usual form."""
        longest = ".".join(["a" * 63] * 3 + ["b" * 61])
        for text, host, port, path, family in (
            ("127.0.0.1:80", "127.0.0.1", 80, "", socket.AF_INET),
            ("127.0.0.1:65535", "127.0.0.1", 65535, "", socket.AF_INET),
            ("[2001:DB8::0:1]:1", "2001:db8::1", 1, "", socket.AF_INET6),
            ("App.Example.:80", "app.example", 80, "", socket.AF_UNSPEC),
            ("a-b_c.d:80", "a-b_c.d", 80, "", socket.AF_UNSPEC),
            ("1a:80", "1a", 80, "", socket.AF_UNSPEC),
            (f"{longest}:80", longest, 80, "", socket.AF_UNSPEC),
            ("unixes.example:80", "unixes.example", 80, "", socket.AF_UNSPEC),
            ("unix:/run/x.sock", "", 0, "/run/x.sock", socket.AF_UNIX),
            ("unix:" + "x" * 107, "", 0, "x" * 107, socket.AF_UNIX),
        ):
            made = backend_line(text)
            self.assertEqual(
                (made.host, made.port, made.path, made.family, made.id), (host, port, path, family, text[:300])
            )

    def test_what_is_no_address(self) -> None:
        """And what was expected."""
        port, name = "ADDRESS:PORT with a port from 1 to 65535", "127.0.0.1:80, [::1]:80, name:80 or unix:/path"
        path = "unix:PATH with a path of 1 to 107 bytes"
        for text, words in (
            *(("a.example", port), ("a.example:", port), ("a:0", port), ("a:01", port), ("a:65536", port)),
            *(("a:100000", port), ("a:x", port), ("a:-1", port), ("a:\u0663", port), (":80", name), ("a..b:80", name)),
            *(("::1:80", name), ("[::1:80", name), ("::1]:80", name), ("300.0.0.1:80", name), ("1.2.3:80", name)),
            *(("-a:80", name), ("a b:80", port), ("1:80", name), (f"{'a' * 64}:80", name), ("a/b:80", name)),
            (f"{'.'.join(['a' * 63] * 3 + ['b' * 62])}:80", name),
            ("[1.2.3.4]:80", "an IPv6 address between the brackets"),
            ("[]:80", "an IPv6 address between the brackets"),
            *(("unix:", path), ("unix:" + "x" * 108, path), ("unix:" + "ä" * 54, path)),
        ):
            self.assertIn(words, str(self.assertRaises(ValueError, backend_line, text)), text)

    def test_options(self) -> None:
        """Each with its edges; tokens in their order; everything else once."""
        made = backend_line("1.1.1.1:1 id=a/b weight=0 backup=yes token=YQ== token=Yg== max_connections=5 locality=x=y")
        expected = BackendSection("a/b", "1.1.1.1", 1, "", 0, True, 5, (b"a", b"b"), "x=y")
        self.assertEqual(made, expected)
        self.assertEqual(
            backend_line("1.1.1.1:1"), BackendSection("1.1.1.1:1", "1.1.1.1", 1, "", 100, False, 0, (), "")
        )
        for good in ("weight=65535", "max_connections=10000000", f"id={'x' * 128}", "id=[::1]:80@a_b-c.d"):
            backend_line(f"1.1.1.1:1 {good}")
        known = "options id=, weight=, backup=, token=, max_connections=, locality="
        for option, words in (
            ("weight=65536", "a whole number from 0 to 65535 in weight="),
            ("max_connections=10000001", "a whole number from 0 to 10000000 in max_connections="),
            (f"id={'x' * 129}", "1 to 128 letters, digits and _.:@/[]- in id="),
            ("id=", "1 to 128 letters, digits and _.:@/[]- in id="),
            ("id=a;b", "1 to 128 letters, digits and _.:@/[]- in id="),
            ("token=", "base64 of at least one byte in token="),
            ("backup", f"{known}; did you mean 'backup'?"),
            ("zzz=1", known),
            ("id=a id=b", "id= only once"),
            ("locality= locality=", "locality= only once"),
        ):
            self.assertIn(words, str(self.assertRaises(ValueError, backend_line, f"1.1.1.1:1 {option}")), option)

    def test_several_lines(self) -> None:
        """By line or comma, with ids of their own."""
        made = backend_lines("1.1.1.1:1 id=a, 1.1.1.1:1\n1.1.1.1:2 id=b")
        self.assertEqual([backend.id for backend in made], ["a", "1.1.1.1:1", "b"])
        self.assertEqual(backend_lines(""), ())
        refused = str(self.assertRaises(ValueError, backend_lines, "1.1.1.1:1, 1.1.1.1:1\nx"))
        self.assertIn("an id of its own for '1.1.1.1:1'; ADDRESS:PORT", refused)
