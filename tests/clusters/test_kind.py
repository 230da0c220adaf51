"""What ``[cluster NAME]`` and those who name one are checked for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors


class ClusterKindTests(SynchronousTestCase):
    """Whole files."""

    def complaints(self, text: str) -> list[str]:
        """What an operator sees; nothing for a good file."""
        try:
            load(text, "f", section_kinds())
        except ConfigErrors as errors:
            return [problem.render("f") for problem in errors.problems]
        return []

    def sticky(self, lines: str) -> list[str]:
        """The same of a cluster with these lines."""
        return self.complaints(f"[cluster c]\nbackends = 127.0.0.1:1\n{lines}\n")

    def test_attributes_of_the_sticky_cookie_go_together(self) -> None:
        """As browsers want them; without a cookie nobody looks."""
        none = "f: [cluster c] sticky_same_site: browsers throw away a cookie with SameSite=None that is not Secure"
        for secure, found in (
            ("no", [f"{none} (got 'none'; expected sticky_secure = auto | yes; line 4)"]),
            ("auto", []),
            ("yes", []),
        ):
            text = f"sticky_cookie = s\nsticky_same_site = none\nsticky_secure = {secure}"
            self.assertEqual(self.sticky(text), found, secure)
            self.assertEqual(self.sticky(text.replace("sticky_cookie = s\n", "")), [])
        for same_site in ("lax", "strict", "off"):
            self.assertEqual(self.sticky(f"sticky_cookie = s\nsticky_same_site = {same_site}\nsticky_secure = no"), [])

    def test_names_with_prefixes_promise_something(self) -> None:
        """__Secure- that it is Secure, __Host- the root path too."""
        for name, secure, path, keys in (
            ("__Secure-a", "yes", "/x", []),
            ("__Secure-a", "auto", "/x", ["sticky_secure"]),
            ("__Secure-a", "no", "/", ["sticky_secure"]),
            ("__Host-a", "yes", "/", []),
            ("__Host-a", "yes", "/x", ["sticky_path"]),
            ("__Host-a", "auto", "/x", ["sticky_secure", "sticky_path"]),
            ("__host-a", "no", "/x", []),
            ("a__Host-", "no", "/x", []),
        ):
            lines = self.sticky(f"sticky_cookie = {name}\nsticky_secure = {secure}\nsticky_path = {path}")
            self.assertEqual([line.split()[3].rstrip(":") for line in lines], keys, (name, secure, path))
        (line,) = self.sticky("sticky_cookie = __Host-a\nsticky_secure = yes\nsticky_path = /x")
        expected = "browsers take __Host-a with Path=/ only (got '/x'; expected /; line 5)"
        self.assertEqual(line, f"f: [cluster c] sticky_path: {expected}")
        (line,) = self.sticky("sticky_cookie = __Secure-a\nsticky_secure = no")
        expected = "browsers take __Secure-a with Secure only (got 'no'; expected yes; line 4)"
        self.assertEqual(line, f"f: [cluster c] sticky_secure: {expected}")

    def test_cookies_live_for_whole_seconds(self) -> None:
        """Or until the browser closes."""
        for age, good in (("0", True), ("999ms", False), ("1ms", False), ("1s", True), ("1500ms", True)):
            lines = self.sticky(f"sticky_cookie = s\nsticky_max_age = {age}")
            expected = "cookies live for whole seconds (expected at least 1s, or 0; line 4)"
            self.assertEqual(lines, [] if good else [f"f: [cluster c] sticky_max_age: {expected}"], age)

    def test_datagrams_do_not_check_unix_sockets(self) -> None:
        """Other checks do, and datagrams check other addresses."""
        for backends, check, good in (
            ("unix:/x", "udp send=eA==", False),
            ("127.0.0.1:1, unix:/x", "udp send=eA==", False),
            ("127.0.0.1:1", "udp send=eA==", True),
            ("unix:/x", "tcp", True),
            ("unix:/x", "", True),
        ):
            lines = self.complaints(f"[cluster c]\nbackends = {backends}\nhealth_check = {check}\n")
            why = "there is no udp to the unix sockets of the cluster (got 'udp'; expected http | tcp; line 3)"
            self.assertEqual(lines, [] if good else [f"f: [cluster c] health_check: {why}"])

    def test_who_names_a_cluster(self) -> None:
        """It must be there; the nearest and all that are there are named."""
        service = "[tcp t]\nlisten = tcp:1\ncluster = eco\n"
        self.assertEqual(
            self.complaints(service),
            ["f: [tcp t] cluster: no such cluster (got 'eco'; expected a [cluster NAME] section; line 3)"],
        )
        clusters = "[cluster echo]\nbackends = 127.0.0.1:1\n[cluster x]\n"
        self.assertEqual(
            self.complaints(clusters + service),
            ["f: [tcp t] cluster: no such cluster; did you mean 'echo'? (got 'eco'; expected echo, x; line 6)"],
        )
        self.assertEqual(self.complaints(clusters.replace("echo", "eco") + service), [])

    def test_tls_is_for_those_who_can_use_it(self) -> None:
        """Files are looked at; datagrams have no TLS, and requests are HTTP/1.1."""
        cluster = "[cluster c]\nbackends = 127.0.0.1:1\ntls = "
        (found,) = self.complaints(f"{cluster}verify ca=/none.pem\n")
        self.assertIn("f: [cluster c] tls: a file that cannot be used (expected ca=/none.pem: No such file", found)
        (found,) = self.complaints(f"{cluster}insecure\n[udp u]\nlisten = udp:1\ncluster = c\n")
        self.assertIn("f: [cluster c] tls: [udp u] sends datagrams (expected no tls", found)
        http = "[http h]\nlisten = tcp:1\n[route r]\nlisteners = h\ncluster = c\n"
        (found,) = self.complaints(f"{cluster}insecure alpn=http/1.1,h2\n{http}")
        self.assertIn("f: [cluster c] tls: [route r] has requests, which go to backends as HTTP/1.1", found)
        self.assertIn("(got 'h2'; expected alpn=http/1.1, or no alpn=", found)
        for text in (f"{cluster}insecure alpn=http/1.1\n{http}", f"{cluster}insecure alpn=h2\n"):
            self.assertEqual(self.complaints(text), [])
