"""The HTTP proxy between misbehaving backends and clients: nobody gets another's response, nothing is left behind."""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from collections.abc import Callable

from tests.integration.http_support import (
    BackendConnection,
    Client,
    ConnectionEndedError,
    HttpProxyTestCase,
    Message,
    chunks,
    get,
    post,
    response,
    wait_for,
)
from tests.integration.support import BUDGET_S, reset

#: what a request can ask its backend to do
GOOD = ("plain", "chunked", "until-close", "closing", "slow", "split", "hint", "early", "big")
BAD = ("reset", "end", "garbage", "half", "extra")
CLIENTS, TURNS = 16, 25


def misbehave(connection: BackendConnection) -> None:
    """Do what the request's path says, and answer with the token that it holds."""
    while request := connection.read_head():
        _, token, how = request.target.decode().split("/")
        if how == "early":
            connection.send(response(token.encode()))
            connection.read_body(request)
            continue
        connection.read_body(request)
        body = token.encode() + b"|" + request.body
        if not answer(connection, how, body):
            return


def answer(connection: BackendConnection, how: str, body: bytes) -> bool:
    """Answer in that way; False when the connection ends with it."""
    head = b"HTTP/1.1 200 OK\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    whole = response(body)
    if how == "reset":
        connection.reset()
    elif how == "half":
        connection.send(whole[:-1])
    elif how == "garbage":
        connection.send(b"\x00" + whole)
    elif how == "until-close":
        connection.send(head + b"\r\n" + body)
    elif how == "closing":
        connection.send(response(body, lines=b"Connection: close\r\n"))
    else:
        pieces = {
            "plain": [whole],
            "chunked": [chunked + chunks(body[:3], body[3:])],
            "slow": [b"", whole],
            "split": [whole[:9], whole[9:30], whole[30:]],
            "hint": [b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole],
            "big": [chunked + chunks(body, *[b"." * 30000] * 4)],
            "extra": [whole + response(b"nobody's")],
        }.get(how)
        if pieces is not None:
            connection.send(*pieces)
            return True
    return False


class ChaosTests(HttpProxyTestCase):
    """Sixteen clients, three backends that share their pool, every kind of failure."""

    def run_client(self, number: int, problems: list[str], counts: dict[str, int]) -> None:
        """Make requests of all kinds, in an order of its own."""
        rng = random.Random(number)
        client = self.client()
        for turn in range(TURNS):
            how = rng.choice(GOOD + BAD) if rng.random() < 0.4 else "plain"
            token = f"t{number}-{turn}-{rng.randrange(10**9)}"
            body = bytes(rng.randrange(97, 123) for _ in range(rng.choice((0, 5, 500)))) * rng.choice((1, 1, 200))
            data = self.request(rng, token, how, body)
            if rng.random() < 0.08:
                client = self.give_up(rng, client, data)
                continue
            verdict = self.exchange(client, data, token, how, body)
            counts[verdict] = counts.get(verdict, 0) + 1
            if verdict not in ("right", "refused", "cut"):
                problems.append(f"{how} {token}: {verdict}")
            if verdict == "cut":
                client.sock.close()
                client = self.client()
        client.sock.close()

    @staticmethod
    def request(rng: random.Random, token: str, how: str, body: bytes) -> bytes:
        """Make a request that asks for it."""
        if not body:
            return get(f"/{token}/{how}")
        method = rng.choice(("POST", "PUT"))
        if rng.random() < 0.5:
            return post(body, f"/{token}/{how}", method=method)
        half = len(body) // 2 or 1
        parts = [part for part in (body[:half], body[half:]) if part]
        return get(f"/{token}/{how}", "Transfer-Encoding: chunked\r\n", method=method) + chunks(*parts)

    def give_up(self, rng: random.Random, client: Client, data: bytes) -> Client:
        """Send a part of the request, or all of it, and go away; return a new client."""
        cut = rng.randrange(len(data) + 1)
        try:
            client.send(data[:cut])
        except OSError:
            pass
        if rng.random() < 0.5:
            reset(client.sock)
        else:
            client.sock.close()
        return self.client()

    @classmethod
    def exchange(cls, client: Client, data: bytes, token: str, how: str, body: bytes) -> str:
        """Send a request and judge its answer."""
        try:
            client.send(data)
        except OSError:
            return "cut" if how in BAD or how == "early" else "cut off"
        return cls.verdict(client, token, how, body)

    @staticmethod
    def verdict(client: Client, token: str, how: str, body: bytes) -> str:
        """Say how it went: right, refused (502 for a bad backend), cut, or what was wrong."""
        try:
            got: Message = client.read()
            while got.status < 200:
                got = client.read()
        except (ConnectionEndedError, OSError):
            return "cut" if how in BAD or how == "early" else "cut off"
        expected = token.encode() if how == "early" else token.encode() + b"|" + body
        if got.status == 200:
            right = got.body == expected or (how == "big" and got.body == expected + b"." * 120000)
            verdict = "right" if right else f"got {got.body[:60]!r}"
        elif got.status == 502:
            verdict = "refused" if how in BAD else "502"
        else:
            verdict = str(got.status)
        if verdict in ("right", "refused") and got.get("Connection") == b"close":
            return "cut"
        return verdict

    def run_pipelines(self, number: int, problems: list[str], counts: dict[str, int]) -> None:
        """Send bursts of requests in one piece, then read the answers."""
        rng = random.Random(1000 + number)
        client = self.client()
        for turn in range(TURNS // 2):
            burst = []
            for place in range(rng.randrange(1, 7)):
                how = rng.choice(GOOD + BAD) if rng.random() < 0.3 else "plain"
                body = b"b" * rng.choice((0, 0, 7, 3000))
                burst.append((f"p{number}-{turn}-{place}-{rng.randrange(10**9)}", how, body))
            client.send(b"".join(self.request(rng, *each) for each in burst))
            for place, (token, how, body) in enumerate(burst):
                verdict = self.verdict(client, token, how, body)
                if verdict == "cut off" and any(later == "half" for _, later, _ in burst[place + 1 :]):
                    verdict = "cut"  # the reset for half a response takes with it what the client has not yet read
                counts[verdict] = counts.get(verdict, 0) + 1
                if verdict not in ("right", "refused", "cut"):
                    problems.append(f"{how} {token}: {verdict}")
                if verdict == "cut":
                    client.sock.close()
                    client = self.client()
                    break
        client.sock.close()

    def test_nobody_gets_anothers_response(self) -> None:
        """Each token comes back to its client, or an honest error; the rest of the connection is in order."""
        self.check(self.run_client)

    def test_pipelined_responses_stay_in_order(self) -> None:
        """In bursts of up to six, among the same failures."""
        self.check(self.run_pipelines)

    def check(self, run: Callable[[int, list[str], dict[str, int]], None]) -> None:
        """Let all clients run; nothing may be wrong, lost or left."""
        backends = [self.backend(misbehave) for _ in range(3)]
        proxy = self.front(*backends, cluster="balance = random\n")
        proxy.metric("session_active")
        descriptors = proxy.descriptors()
        problems: list[str] = []
        counts: dict[str, int] = {}
        threads = [threading.Thread(target=run, args=(n, problems, counts)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # malformed messages are what the scripts themselves send when the proxy breaks off
        for backend in backends:
            backend.failures.clear()
        self.assertEqual(problems, [])
        self.assertGreater(counts["right"], CLIENTS * TURNS // 2)
        self.assertGreater(counts.get("refused", 0) + counts["cut"], 5)
        self.wait_idle(proxy)
        opened = proxy.metric("session_total", kind="http")
        self.assertEqual(proxy.metric("session_closed_total", kind="http"), opened)
        wait_for(
            lambda: proxy.descriptors() <= descriptors + proxy.metric("http_pool_idle"),
            "no descriptors but those of the pool are left",
            5.0,
        )


class StopTests(HttpProxyTestCase):
    """Ends of the process (Sōzu's test_soft_stop and test_hard_stop)."""

    def test_requests_under_way_are_finished(self) -> None:
        """And their connections closed; idle ones at once; new ones are refused."""
        release = threading.Event()

        def talk(connection: BackendConnection) -> None:
            while connection.read_request():
                release.wait(10)
                connection.send(response(b"done"))

        backend = self.backend(talk)
        proxy = self.front(backend, appliance="\n")
        idle, busy = self.client(), self.client()
        release.set()
        idle.ask(get("/1"))
        release.clear()
        busy.send(get("/2"))
        backend.wait_requests(2)
        proxy.process.send_signal(signal.SIGTERM)
        self.assertTrue(idle.closed())
        wait_for(lambda: self.refused(), "nobody listens any more")
        release.set()
        got = busy.read()
        self.assertEqual((got.body, got.get("Connection")), (b"done", b"close"))
        self.assertTrue(busy.closed())
        self.assertEqual(proxy.process.wait(10), 0)

    def refused(self) -> bool:
        """True when the port is closed."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def test_a_backend_that_never_answers_does_not_keep_the_process(self) -> None:
        """shutdown_grace is the end of it."""

        def talk(connection: BackendConnection) -> None:
            connection.read_request()
            connection.wait_end()

        backend = self.backend(talk)
        proxy = self.front(backend)
        self.client().send(get())
        backend.wait_requests(1)
        started = time.monotonic()
        self.assertEqual(proxy.stop(), 0)
        self.assertLess(time.monotonic() - started, BUDGET_S / 2)
