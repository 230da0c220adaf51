"""Lines of requests in the access log."""

from __future__ import annotations

import json
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection
from netappliance.http.access_log import JsonLines, common_line
from netappliance.http.identity import KINDS, ClientIdentity, IdentityRules
from netappliance.http.message import Exchange, Request
from netappliance.http.record import Record
from netappliance.http.routing.route import Route
from netappliance.http.streams.session import HttpSession
from netappliance.sessions.reasons import SHUTDOWN
from netappliance.sessions.session import unix_address
from tests.http.exchange.world import World


def record(path: bytes, octets: bytes) -> Record:
    """Return what is known of a request of a unix socket's client, with these octets wherever strangers have a say."""
    request = Request(octets, octets, 1, [b"Referer: " + octets, b"User-Agent: " + octets])
    request.authority = octets
    session = HttpSession("http", "web", unix_address(path), ("", 0), 0.0)
    session.id = 1
    made = Record(session, request, b"1", 0.0)
    made.route = route = Route(World().service.routes[0].section)
    route.name, route.cluster = "a b", 'c "d'
    made.backend = Backend(BackendSection("unix:/a b", "", 0, "/a b"), 1, "/a b", "unix:/a b")
    made.reason = SHUTDOWN
    view = Exchange(request, "", "web", 0, False, "", "", (), 0.0, b"1")
    view.notes["user"] = octets.decode("latin-1")
    made.view = view
    return made


class LineTests(SynchronousTestCase):
    """One line each, whatever strangers send."""

    @given(st.binary(max_size=40), st.binary(max_size=40))
    @settings(max_examples=200, deadline=None)
    def test_json(self, path: bytes, octets: bytes) -> None:
        """Every line is one object."""
        line = JsonLines().line(record(path, octets), 0.0, 1.0)
        self.assertEqual(json.loads(line)["target"], octets.decode("latin-1"))
        self.assertEqual((line.count("\n"), line.isascii()), (1, True))

    def test_behind_a_trusted_proxy_the_client_is_whom_it_told(self) -> None:
        """With the proxy's own address beside it in JSON; nobody else is listened to."""
        rules = IdentityRules(KINDS, b"", [ip_network("10.0.0.0/8")])
        for peer, origin in (("10.0.0.1", "192.0.2.7"), ("192.0.2.1", "")):
            made = record(b"", b"/")
            made.session.client = (peer, 4000)
            made.session.identity = ClientIdentity(rules, made.session.client, ("", 0), b"1")
            assert made.request is not None
            made.request.identity = [(b"x-forwarded-for", b"192.0.2.7")]
            line = json.loads(JsonLines().line(made, 0.0, 1.0))
            self.assertEqual((line.get("origin", ""), line["client"]), (origin, f"{peer}:4000"))
            self.assertEqual(common_line(made, 0.0, 1.0).split(" ")[0], origin or peer)

    @given(st.binary(max_size=40), st.binary(max_size=40))
    @settings(max_examples=200, deadline=None)
    def test_common(self, path: bytes, octets: bytes) -> None:
        """A field without quotes holds no space, so that every line has the same fields."""
        line = common_line(record(path, octets), 0.0, 1.0)
        self.assertEqual((line.count("\n"), line.isprintable() or line[:-1].isprintable()), (1, True))
        before, _, behind = line.partition(" [01/Jan/1970:00:00:00 +0000] ")
        self.assertEqual(len(before.split(" ")), 3)
        self.assertEqual(before.split(" ")[2] == "-", octets in (b"", b"-"))
        self.assertEqual(
            behind[behind.rindex('" ') :].split(" ")[1:4], ["1.000", "a\\u0020b", 'c\\u0020\\"d/unix:/a\\u0020b']
        )
