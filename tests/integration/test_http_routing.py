"""Where the HTTP proxy sends requests: routes, redirects, rewrites, filters, sticky sessions, limits."""

from __future__ import annotations

import threading

from tests.integration.http_support import (
    BackendConnection,
    HttpProxyTestCase,
    Message,
    RecordingBackend,
    echoing,
    get,
    named,
    post,
    response,
    wait_for,
)

BARE = "identity_headers =\nsession_header =\n"


class RouteTests(HttpProxyTestCase):
    """Which cluster is asked."""

    def routed(self, routes: dict[str, str], keys: str = "") -> dict[str, RecordingBackend]:
        """Start a proxy with a cluster and a route of each name, whose backend answers with that name."""
        backends = {name: self.backend(named(name.encode())) for name in routes}
        more = "".join(
            f"[cluster {name}]\nbackends = 127.0.0.1:{backend.port}\n[route {name}]\ncluster = {name}\n{routes[name]}\n"
            for name, backend in backends.items()
        )
        self.front(keys=keys, routes=more)
        return backends

    def names(self, *requests: bytes) -> list[str]:
        """Return the backends that answer these requests, or the status of another answer."""
        client = self.client()
        answers = [client.ask(data) for data in requests]
        return [got.body.decode() if got.status == 200 else str(got.status) for got in answers]

    def test_hosts_and_paths(self) -> None:
        """Exact before wildcard (test_wildcard); longest prefix; ports, case and trailing dots do not count."""
        self.routed(
            {
                "exact": "host = www.a.example",
                "wild": "host = *.a.example",
                "long": "host = *.a.example\npath = /api",
                "six": "host = [::1]",
                "only": "host = b.example\npath = =/only",
                "digits": "host = b.example\npath = ~/[0-9]+",
            }
        )
        answers = self.names(
            get(host="www.a.example"),
            get(host="WWW.A.example.:8080"),
            get("/api", host="www.a.example"),
            get(host="x.a.example"),
            get("/api/1?x", host="x.a.example"),
            get(host="y.x.a.example"),
            get(host="a.example"),
            get(host="[0:0::1]:80"),
            get("/only?q", host="b.example"),
            get("/only/", host="b.example"),
            get("/123", host="b.example"),
            get("/123x", host="b.example"),
        )
        self.assertEqual(
            answers,
            ["exact", "exact", "exact", "wild", "long", "404", "404", "six", "only", "404", "digits", "404"],
        )

    def test_methods_and_positions(self) -> None:
        """pre before tree before post."""
        self.routed(
            {
                "first": "host = *\npath = /pre\nposition = pre",
                "write": "host = a.example\nmethod = POST, PUT",
                "read": "host = a.example",
                "last": "host = *\nposition = post",
            }
        )
        answers = self.names(get("/pre"), post(b"x"), get(), get(host="other.example"))
        self.assertEqual(answers, ["first", "write", "read", "last"])

    def test_each_request_of_a_connection_is_routed_by_itself(self) -> None:
        """No request rides on the route of the one before it."""
        backends = self.routed({"a": "host = a.example", "b": "host = b.example"})
        self.assertEqual(self.names(*[get(host=f"{name}.example") for name in "abab"]), ["a", "b", "a", "b"])
        self.assertEqual([len(backend.connections) for backend in backends.values()], [1, 1])

    def test_absolute_targets_are_routed_by_their_host(self) -> None:
        """Which Host must say too; a difference is 400 and reaches nobody."""
        backends = self.routed({"a": "host = a.example", "b": "host = b.example"})
        self.assertEqual(self.names(get("http://b.example/", host="b.example")), ["b"])
        self.assertEqual(self.names(get("http://b.example/", host="a.example")), ["400"])
        self.assertEqual(len(backends["a"].requests) + len(backends["b"].requests), 1)

    def test_x_forwarded_host_does_not_route(self) -> None:
        """Nor does anything else but Host."""
        self.routed({"a": "host = a.example", "b": "host = b.example"})
        lines = "X-Forwarded-Host: b.example\r\nX-Host: b.example\r\nForwarded: host=b.example\r\n"
        lines += "X-Original-URL: /admin\r\n"
        self.assertEqual(self.names(get(lines=lines)), ["a"])

    def test_no_route_is_404_and_goes_on(self) -> None:
        """test_http_behaviors: 404 first; HEAD gets no body."""
        self.routed({"a": "host = a.example"})
        client = self.client()
        self.assertEqual(client.ask(get(host="nobody.example")).status, 404)
        self.assertEqual(client.ask(get(host="nobody.example", method="HEAD"), b"HEAD").status, 404)
        self.assertEqual(client.ask(get()).body, b"a")

    def test_the_body_of_a_request_without_a_route_is_not_the_next_request(self) -> None:
        """The classic: an answer before the body was read, and the body taken for a request."""
        backends = self.routed({"a": "host = a.example"})
        hidden = get("/smuggled")
        data = get(host="nobody.example", lines=f"Content-Length: {len(hidden)}\r\n", method="POST")
        client = self.client().send(data + hidden)
        self.assertEqual(client.read().status, 404)
        try:
            following = client.send(get("/next")).read_or_end()
        except OSError:
            following = None
        self.assertIn([request.target for request in backends["a"].requests], ([], [b"/next"]))
        if following is not None:
            self.assertEqual(following.body, b"a")


class RedirectTests(HttpProxyTestCase):
    """Routes that are answered here."""

    def location(self, route: str, data: bytes) -> tuple[int, bytes | None]:
        """Return status and Location; a backend that is asked is a failure."""
        server = self.backend()
        self.front(server, routes=f"[route r]\n{route}\n[route other]\nhost = other.example\ncluster = c\n")
        got = self.ask(data)
        self.assertEqual(server.connections, [])
        return got.status, got.get("Location")

    def test_statuses(self) -> None:
        """301, 302, 308 with a template, and the backend is not asked (test_redirect_*_h1_*)."""
        for status in (301, 302, 308):
            route = f"redirect = {status}\nredirect_to = https://$host$target\n"
            self.assertEqual(self.location(route, get("/x?y=z")), (status, b"https://a.example/x?y=z"))

    def test_captures(self) -> None:
        """test_redirect_permanent_uses_rewrite_host_and_template."""
        route = "host = *.a.example\npath = ~/old/(.*)\nredirect = 301\nredirect_to = https://$1.new.example/$2\n"
        self.assertEqual(
            self.location(route, get("/old/page", host="x.a.example")), (301, b"https://x.new.example/page")
        )

    def test_unauthorized_and_denied(self) -> None:
        """test_redirect_unauthorized_h1_emits_401; without a redirect 403."""
        self.assertEqual(self.location("redirect = unauthorized\n", get())[0], 401)
        self.assertEqual(self.location("", get())[0], 403)

    def test_a_location_holds_no_second_field(self) -> None:
        """Percent-encoded line ends stay encoded."""
        status, location = self.location("redirect = 302\nredirect_to = /new$path\n", get("/a%0d%0aSet-Cookie:%20x=y"))
        self.assertEqual((status, location), (302, b"/new/a%0d%0aSet-Cookie:%20x=y"))

    def test_a_path_leads_nowhere_else(self) -> None:
        """``//evil.example`` as a path is no authority in a Location that is a path."""
        status, location = self.location("redirect = 302\nredirect_to = $path\n", get("//evil.example/x"))
        self.assertEqual(status, 302)
        self.assertFalse((location or b"").startswith(b"//"), location)

    def test_a_redirected_upload_is_answered(self) -> None:
        """Before its body, which is not taken for a request."""
        backend = self.backend()
        self.front(
            backend,
            routes="[route r]\npath = /old\nredirect = 308\nredirect_to = /new\n[route n]\npath = /new\ncluster = c\n",
        )
        client = self.client().send(post(b"x" * 100000, "/old"))
        self.assertEqual(client.read().status, 308)
        self.assertEqual(self.ask(post(b"y", "/new")).status, 200)


class FilterTests(HttpProxyTestCase):
    """Filters as the backend and the client see them."""

    def filtered(self, filters: dict[str, str], backend: RecordingBackend, host: str = "*", path: str = "/") -> None:
        """Start a proxy whose route has these filters."""
        more = "".join(f"[filter {name}]\n{text}\n" for name, text in filters.items())
        route = f"[route r]\nhost = {host}\npath = {path}\ncluster = c\nfilters = {', '.join(filters)}\n"
        self.front(backend, keys=BARE, routes=route, more=more)

    def test_request_fields_are_set_and_deleted(self) -> None:
        """test_request_header_inject_h1_h1, test_request_header_delete_h1_h1."""
        backend = self.backend()
        self.filtered({"f": "kind = headers\nedits =\n    request set X-New: 1\n    request delete X-Old\n"}, backend)
        self.ask(get(lines="X-Old: 1\r\nx-old: 2\r\nX-New: client's\r\nX-Stays: 1\r\n"))
        self.assertEqual(backend.requests[0].raw, get(lines="X-Stays: 1\r\nX-New: 1\r\n"))

    def test_response_fields_are_set_and_deleted(self) -> None:
        """test_response_header_inject_h1_h1, test_response_header_delete_h1_h1."""
        backend = self.backend(response(b"x", lines=b"Server: old\r\nX-Stays: 1\r\n"))
        self.filtered(
            {"f": "kind = headers\nedits =\n    response set X-New: 1\n    response delete Server\n"}, backend
        )
        client = self.client()
        client.ask(get())
        self.assertEqual(client.received, b"HTTP/1.1 200 X\r\nX-Stays: 1\r\nX-New: 1\r\nContent-Length: 1\r\n\r\nx")

    def test_a_client_cannot_bring_line_ends_into_a_field(self) -> None:
        """Values from the request stay values."""
        backend = self.backend()
        self.filtered({"f": "kind = headers\nedits = request set X-Path: $path\n"}, backend)
        self.ask(get("/a%0d%0aX-Evil:%201"))
        self.assertEqual(backend.requests[0].get("X-Path"), b"/a%0d%0aX-Evil:%201")
        self.assertIsNone(backend.requests[0].get("X-Evil"))

    def test_paths_are_rewritten(self) -> None:
        """test_rewrite_path_h1_h1; the query stays."""
        backend = self.backend()
        self.filtered({"f": "kind = rewrite\npattern = /api/v1/(.*)\npath = /v2/$1\n"}, backend)
        self.ask(get("/api/v1/users?id=1"))
        self.assertEqual(backend.requests[0].target, b"/v2/users?id=1")

    def test_hosts_are_rewritten(self) -> None:
        """test_rewrite_host_h1_h1: the old one is in X-Forwarded-Host, once."""
        backend = self.backend()
        more = "[filter f]\nkind = rewrite\nhost = $1.internal.example\n"
        self.front(backend, routes="[route r]\nhost = *.a.example\ncluster = c\nfilters = f\n", more=more)
        self.ask(get(host="x.a.example"))
        (request,) = backend.requests
        self.assertEqual(request.get("Host"), b"x.internal.example")
        self.assertEqual(request.get("X-Forwarded-Host"), b"x.a.example")

    def test_requests_beyond_the_rate_are_429(self) -> None:
        """With Retry-After; they do not reach the backend."""
        backend = self.backend()
        self.filtered({"f": "kind = request_rate_limit\nrequests = 3\nperiod = 1h\n"}, backend)
        client = self.client()
        answers = [client.ask(get()) for _ in range(5)]
        self.assertEqual([got.status for got in answers], [200, 200, 200, 429, 429])
        self.assertTrue(answers[-1].get("Retry-After"))
        self.assertEqual(len(backend.requests), 3)

    def test_concurrent_requests_beyond_the_limit_are_429(self) -> None:
        """test_h1_global_limit_emits_429; a place is free again when a request ends, however it ends."""
        release = threading.Event()

        def talk(connection: BackendConnection) -> None:
            while request := connection.read_request():
                release.wait(10)
                connection.send(echoing(request))

        backend = self.backend(talk)
        self.filtered({"f": "kind = concurrency_limit\nrequests = 2\n"}, backend)
        first, second = self.client().send(get()), self.client().send(get())
        backend.wait_requests(2)
        self.assertEqual(self.ask(get()).status, 429)
        second.sock.close()
        wait_for(lambda: self.front_proxy.metric("session_active") == 1, "the second client is gone")
        third = self.client().send(get())
        backend.wait_requests(3)
        release.set()
        self.assertEqual([first.read().status, third.read().status], [200, 200])

    def test_retry_after_may_be_left_out(self) -> None:
        """Sōzu's test_h1_retry_after_zero_elides_header."""
        release = threading.Event()

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            release.wait(10)

        backend = self.backend(talk)
        self.filtered({"f": "kind = concurrency_limit\nrequests = 1\nretry_after = 0\n"}, backend)
        self.client().send(get())
        backend.wait_requests(1)
        got = self.ask(get())
        release.set()
        self.assertEqual((got.status, got.get("Retry-After")), (429, None))

    def test_plain_requests_are_led_to_tls(self) -> None:
        """Sōzu's test_https_redirect; the backend is not asked."""
        backend = self.backend()
        self.filtered({"f": "kind = https_redirect\n"}, backend)
        got = self.ask(get("/x?y", host="a.example:8080"))
        self.assertEqual((got.status, got.get("Location")), (301, b"https://a.example/x?y"))
        self.assertEqual(backend.connections, [])

    def test_clients_of_other_networks_are_denied(self) -> None:
        """403, by the address of the peer, not by what it claims."""
        backend = self.backend()
        self.filtered({"f": "kind = allow\nnetworks = 10.0.0.0/8\n"}, backend)
        self.assertEqual(self.ask(get(lines="X-Forwarded-For: 10.0.0.1\r\n")).status, 403)
        self.assertEqual(backend.connections, [])

    def test_maintenance(self) -> None:
        """503 with Retry-After."""
        backend = self.backend()
        self.filtered({"f": "kind = maintenance\n"}, backend)
        got = self.ask(get())
        self.assertEqual((got.status, got.get("Retry-After")), (503, b"300"))
        self.assertEqual(backend.connections, [])


class StickyTests(HttpProxyTestCase):
    """Cookies that lead back (Sōzu's test_stick)."""

    def stuck(self, keys: str = "") -> dict[bytes, RecordingBackend]:
        """Start a proxy with three backends named a, b and c."""
        backends = {name: self.backend(named(name)) for name in (b"a", b"b", b"c")}
        lines = "".join(f"    127.0.0.1:{backend.port} id={name.decode()}\n" for name, backend in backends.items())
        more = f"[cluster s]\nbackends =\n{lines}sticky_cookie = STICK\n{keys}\n"
        self.front(keys=BARE, routes="[route r]\ncluster = s\n", more=more)
        return backends

    def cookie(self, got: Message) -> str:
        """Return the value that a response sets."""
        header = (got.get("Set-Cookie") or b"").decode()
        self.assertRegex(header, r"^STICK=[A-Za-z0-9_-]+; Path=/")
        return header.partition(";")[0].partition("=")[2]

    def test_no_cookie_gets_one_and_it_leads_back(self) -> None:
        """Set once, and not again while it is right."""
        self.stuck()
        first = self.ask(get())
        value = self.cookie(first)
        for _ in range(5):
            got = self.ask(get(lines=f"Cookie: STICK={value}\r\n"))
            self.assertEqual((got.body, got.get("Set-Cookie")), (first.body, None))

    def test_it_is_taken_out_and_other_cookies_stay(self) -> None:
        """Wherever it stands; what is left is the application's."""
        backends = self.stuck()
        value = self.cookie(self.ask(get()))
        for cookies, left in (
            (f"a=1; STICK={value}; b=2", "Cookie: a=1; b=2\r\n"),
            (f"STICK={value}", ""),
            (f"a=1; STICK={value}", "Cookie: a=1\r\n"),
            (f"STICK={value}; b=2", "Cookie: b=2\r\n"),
        ):
            got = self.ask(get(lines=f"Cookie: {cookies}\r\n"))
            self.assertEqual(backends[got.body].requests[-1].raw, get(lines=left), cookies)

    def test_an_invalid_cookie_is_replaced(self) -> None:
        """And does not reach the backend."""
        backends = self.stuck()
        got = self.ask(get(lines="Cookie: STICK=nonsense; a=b\r\n"))
        self.cookie(got)
        self.assertEqual(backends[got.body].requests[0].raw, get(lines="Cookie: a=b\r\n"))

    def test_another_is_chosen_when_its_backend_is_gone(self) -> None:
        """And the cookie says so."""
        backends = self.stuck()
        first = self.ask(get())
        value = self.cookie(first)
        backends[first.body].close()
        got = self.ask(get(lines=f"Cookie: STICK={value}\r\n"))
        self.assertEqual(got.status, 200)
        self.assertNotEqual(got.body, first.body)
        self.assertNotEqual(self.cookie(got), value)

    def test_each_request_of_a_connection_follows_its_own_cookie(self) -> None:
        """Connections to backends are shared; clients' requests are not mixed."""
        self.stuck()
        client = self.client()
        for name in ("a", "b", "c", "b", "a"):
            self.assertEqual(client.ask(get(lines=f"Cookie: STICK={name}\r\n")).body, name.encode())

    def test_attributes(self) -> None:
        """As configured."""
        self.stuck("sticky_max_age = 1h\nsticky_same_site = strict\nsticky_secure = yes\n")
        header = (self.ask(get()).get("Set-Cookie") or b"").decode()
        self.assertEqual(
            set(header.split("; ")[1:]), {"Path=/", "Max-Age=3600", "Secure", "HttpOnly", "SameSite=Strict"}
        )
