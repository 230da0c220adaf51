"""[route] sections in the light of the whole file."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors

CLUSTER = "[cluster web]\nbackends = 127.0.0.1:1\n"


class RouteKindTests(SynchronousTestCase):
    """Cross references, and routes that cannot both be meant."""

    def errors(self, text: str) -> str:
        """Everything that is wrong with a file, empty when it is good."""
        try:
            load(CLUSTER + text, "p.ini", section_kinds())
        except ConfigErrors as errors:
            return str(errors)
        return ""

    def test_a_route_to_a_cluster_a_redirect_and_a_denial_are_good(self) -> None:
        """The defaults take everything."""
        self.assertEqual(
            self.errors(
                "[route a]\ncluster = web\n[route b]\npath = /x\n"
                "[route c]\npath = /y\nredirect = 308\nredirect_to = https://$host/$1\n"
                "[route d]\npath = /z\nredirect = unauthorized\n"
            ),
            "",
        )

    def test_unknown_names_are_errors_with_a_suggestion(self) -> None:
        """Listener and cluster."""
        text = self.errors("[route a]\nlisteners = wbe\ncluster = wbe\n")
        self.assertIn("[route a] listeners: no such listener", text)
        self.assertIn("[route a] cluster: no such cluster; did you mean 'web'?", text)

    def test_what_does_not_go_together(self) -> None:
        """Each names its key."""
        for keys, expected in (
            ("cluster = web\nredirect = 301\nredirect_to = /x\n", "[route a] redirect: the route has cluster = web"),
            ("redirect = 301\n", "[route a] redirect_to: redirect = 301 needs it"),
            ("redirect_to = /x\n", "[route a] redirect_to: there is no redirect"),
            ("redirect = unauthorized\nredirect_to = /x\n", "[route a] redirect_to: there is no redirect"),
            ("redirect = 301\nredirect_to = /$2\n", "have 1 capture (got '/$2'; expected $1;"),
            ("cluster = web\nfilters = f\n[filter f]\nkind = rewrite\npath = /$2\n", "f has $2, and host and path of"),
            ("cluster = web\nfilters = f\n[filter f]\nkind = headers\nedits = both set A: $3\n", "f has $3, and host"),
            (
                "redirect = 303\nredirect_to = /x\n",
                "[route a] redirect: a bad value (got '303'; expected nothing | 301",
            ),
            ("host = a.com, b.com\n", "expected one host a line"),
            ("host = http://a.com\n", "expected a host alone"),
            ("path = /api/*\n", "expected a prefix without * (/api/ takes what begins with it)"),
            ("host = a.com:80\n", "[route a] host: a bad value (got 'a.com:80'; expected a host without a port"),
        ):
            self.assertIn(expected, self.errors(f"[route a]\n{keys}"), keys)

    def test_tokens_are_for_datagrams(self) -> None:
        """The cluster's key would have nothing to hash."""
        text = self.errors("[cluster t]\nbalance_key = token\n[route a]\ncluster = t\n")
        self.assertIn("[cluster t] balance_key: [route a] has requests, and tokens are for datagrams", text)

    def test_twins_are_errors_that_name_both(self) -> None:
        """Same host in any spelling, path, methods in any order, position and listener."""
        first = "[route a]\nhost =\n  A.com\n  b.com\nmethod = GET, PUT\n"
        text = self.errors(first + "[route b]\nhost = b.com.\nmethod = PUT, GET\n")
        self.assertIn(
            "[route b] host: [route a] has the same host, path, method, position and listener (got 'b.com'", text
        )
        for other in ("host = b.com\nmethod = GET", "host = b.com\nmethod = PUT, GET\nposition = post", "host = c.com"):
            self.assertEqual(self.errors(f"{first}[route b]\n{other}\n"), "", other)

    def test_ten_thousand_routes_load_in_linear_time(self) -> None:
        """No check looks at all others for each."""

        def seconds(count: int) -> float:
            text = CLUSTER + "".join(f"[route r{n}]\nhost = h{n}.example.com\ncluster = web\n" for n in range(count))
            began = time.perf_counter()
            load(text, "p.ini", section_kinds())
            return time.perf_counter() - began

        small = seconds(500)
        self.assertLess(seconds(5000), max(40 * small, 2.0))
