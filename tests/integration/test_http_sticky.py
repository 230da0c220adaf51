"""Sticky sessions with real sockets: one backend as long as it lives, and the cookie stays between client and proxy."""

from __future__ import annotations

import http.client
import socket

from tests.integration.support import BUDGET_S, Peer, ProxyTestCase, free_ports


class Backend:
    """Answers with its name and keeps the heads that reached it."""

    def __init__(self, case: ProxyTestCase, name: str) -> None:
        self.name = name
        self.heads: list[bytes] = []
        self.peer: Peer = case.peer(self.talk)

    def talk(self, connection: socket.socket) -> None:
        """Requests without bodies, one after another."""
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = connection.recv(4096)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            self.heads.append(head)
            body = self.name.encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


class StickyTests(ProxyTestCase):
    """Two backends, asked in turn but for the cookie."""

    forked = True

    def test_a_client_comes_back_to_its_backend_until_that_is_gone(self) -> None:
        """The backends see the other cookies byte for byte, and never ours."""
        backends = {name: Backend(self, name) for name in "ab"}
        port = free_ports(1)[0]
        lines = "".join(f"  127.0.0.1:{backend.peer.port} id={name}\n" for name, backend in backends.items())
        proxy = self.proxy(
            f"[cluster c]\nbackends =\n{lines}sticky_cookie = SRV\nsticky_max_age = 1h\n"
            f"[http front]\nlisten = tcp:{port}:interface=127.0.0.1\n[route all]\ncluster = c\n"
        )

        def ask(cookie: str = "") -> tuple[str, str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BUDGET_S)
            connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
            response = connection.getresponse()
            found = response.read().decode(), response.headers.get("Set-Cookie") or ""
            connection.close()
            return found

        name, cookie = ask()
        self.assertEqual(cookie, f"SRV={name}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax")
        for _ in range(4):
            self.assertEqual(ask(f'x=1; SRV={name};  y="2"'), (name, ""))
        for head in backends[name].heads[1:]:
            self.assertIn(b'\r\nCookie: x=1;  y="2"', head)
        self.assertNotIn(b"SRV", b"".join(backends[name].heads))
        other = "b" if name == "a" else "a"
        for garbage in ("SRV=nobody", "SRV=", 'SRV="', "SRV=;SRV=;;", "=SRV; SRV"):
            self.assertIn(ask(garbage)[0], "ab")
        backends[name].peer.listener.shutdown(socket.SHUT_RDWR)
        backends[name].peer.close()
        found, cookie = ask(f"SRV={name}")
        self.assertEqual((found, cookie.partition(";")[0]), (other, f"SRV={other}"))
        self.assertEqual(proxy.metric("http_sticky_total", cluster="c", result="kept"), 4)
        self.assertGreaterEqual(proxy.metric("http_sticky_total", cluster="c", result="moved"), 2)
        self.assertGreaterEqual(proxy.metric("http_sticky_total", cluster="c", result="assigned"), 2)
