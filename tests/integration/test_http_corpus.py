"""The corpus of smuggling and malformed messages through a running proxy, h11 and nginx being the judges behind it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import h11

from tests.http.framing.corpus import CASES
from tests.http.framing.corpus.case import FORWARDED, SMALL_BODY, Case
from tests.http.framing.corpus.responses import ANSWERS, CUT, PASSED, BackendAnswer
from tests.integration.http_message import MalformedMessageError
from tests.integration.http_support import (
    BackendConnection,
    Client,
    ConnectionEndedError,
    HttpProxyTestCase,
    Message,
    get,
)
from tests.integration.support import free_ports, wait_for

#: those of which nginx thinks as we do: it takes capital letters only for a method
METHODS = (b"GET", b"POST", b"HEAD", b"DELETE", b"OPTIONS", b"PURGE", b"REPORT", b"PROPFIND", b"X")


def source(number: int) -> str:
    """Return an address of this host for each case, so that what reaches a backend tells which case it comes from."""
    return f"127.7.{number // 200}.{number % 200 + 1}"


class Judge:
    """
    A server built on h11 that notes what it sees.

    :ivar seen: source -> (method, target, body) of complete requests. :ivar texts: source -> all fields and trailers,
        in lower case. :ivar errors: what h11 refused, with the bytes.
    """

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[bytes, bytes, bytes]]] = {}
        self.texts: dict[str, bytes] = {}
        self.errors: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        received = b""
        with connection:
            server = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
            request: h11.Request | None = None
            body = b""
            while True:
                try:
                    event = server.next_event()
                    if event is h11.NEED_DATA:
                        data = connection.recv(65536)
                        if not data:
                            return
                        received += data
                        server.receive_data(data)
                    elif isinstance(event, h11.Request):
                        request, body = event, b""
                    elif isinstance(event, h11.Data):
                        body += event.data
                    elif isinstance(event, h11.EndOfMessage) and request is not None:
                        self._note(request, body, event)
                        answer = h11.Response(status_code=200, headers=[("Content-Length", "0")])
                        connection.sendall((server.send(answer) or b"") + (server.send(h11.EndOfMessage()) or b""))
                        server.start_next_cycle()
                    else:
                        return
                except OSError:
                    return
                except h11.ProtocolError as error:
                    self.errors.append(f"{error}: {received[-300:]!r}")
                    return

    def _note(self, request: h11.Request, body: bytes, end: h11.EndOfMessage) -> None:
        fields = [*request.headers.raw_items(), *end.headers.raw_items()]
        text = b"\n".join(name + b": " + value for name, value in fields).lower()
        address = dict(request.headers).get(b"x-forwarded-for", b"nobody").decode()
        self.seen.setdefault(address, []).append((request.method, request.target, body))
        self.texts[address] = self.texts.get(address, b"") + b"\n" + text

    def close(self) -> None:
        """Stop listening."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Nginx:
    """nginx that writes a line for each request that it sees, with its body."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, inner = free_ports(2)
        form = (
            '{"for":"$http_x_forwarded_for","method":"$request_method","target":"$request_uri","body":"$request_body"'
        )
        temporary = "".join(
            f"{kind}_temp_path {folder};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; error_log {folder}/error.log; pid {folder}/pid;\n"
            "events { worker_connections 1000; }\n"
            f"http {{ {temporary} log_format seen escape=json '{form},\"status\":$status}}';\n"
            "client_body_buffer_size 1m; client_max_body_size 0; large_client_header_buffers 8 64k;\n"
            f"server {{ listen 127.0.0.1:{self.port}; access_log {folder}/seen.log seen;\n"
            f"location / {{ proxy_pass http://127.0.0.1:{inner}; }} }}\n"
            f"server {{ listen 127.0.0.1:{inner}; access_log off; location / {{ return 204; }} }} }}\n"
        )
        self.process = subprocess.Popen(
            ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def lines(self) -> list[dict[str, str]]:
        """Return what it logged."""
        path = self.folder / "seen.log"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="latin-1").splitlines()]

    def up(self) -> bool:
        """True when it accepts."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)


class CorpusTestCase(HttpProxyTestCase):
    """Every case as a connection of its own."""

    def start(self, backend: int) -> None:
        """Start a proxy with a listener without limits, and one for small bodies."""
        (self.small_port,) = free_ports(1)
        kind, keys = self.transport.kind, self.transport.keys
        listen = f"listen = tcp:{self.small_port}:interface=127.0.0.1"
        self.front(backend, more=f"[{kind} small]\n{listen}\n{keys}max_body_size = {SMALL_BODY}\n")

    def run_case(self, number: int, case: Case) -> tuple[int, list[int]]:
        """Send it; return the status of the refusal (0 = none), and all statuses."""
        client = self.client(self.small_port if case.small else self.port, source(number))
        statuses: list[int] = []
        sender = threading.Thread(target=self._send, args=(client, case.data)) if len(case.data) > 30000 else None
        if sender is not None:
            sender.start()
        else:
            client.send(case.data)
        try:
            refused = self._read(client, case, statuses)
        finally:
            if sender is not None:
                sender.join()
            client.sock.close()
        return refused, statuses

    @staticmethod
    def _send(client: Client, data: bytes) -> None:
        try:
            client.send(data)
        except OSError:
            pass  # the proxy has answered and reads no more

    @staticmethod
    def _read(client: Client, case: Case, statuses: list[int]) -> int:
        ends = FORWARDED not in case.verdicts
        methods = [method for method, _, _ in case.requests]
        while ends or len(statuses) < len(case.requests):
            index = len(statuses)
            try:
                answer = client.read(methods[index] if index < len(methods) else b"GET")
            except ConnectionEndedError:
                return -1
            if answer.status < 200:
                continue
            statuses.append(answer.status)
            if answer.status >= 400 and answer.get("Connection") == b"close":
                # the proxy's own; what backends refuse themselves does not end the connection
                client.rest()
                return answer.status
        return 0

    def judge(self, case: Case, refused: int, statuses: list[int]) -> str:
        """Say what is wrong with what the client was told; empty when it is the verdict."""
        if refused in case.verdicts or (case.stall and not refused):
            return ""
        return f"{case.label}: {refused or 'forwarded'} ({statuses}) instead of {case.verdicts}"

    def fail_with(self, problems: list[str]) -> None:
        """Fail with all of them."""
        found = "\n".join(filter(None, problems))
        if found:
            self.fail(found)


class RequestCorpusTests(CorpusTestCase):
    """What of the corpus reaches backends."""

    def test_h11_sees_exactly_the_requests_that_were_meant(self) -> None:
        """Each case refused with its status, or seen by h11 as just these requests with these bodies."""
        judge = Judge()
        self.addCleanup(judge.close)
        self.start(judge.port)
        problems: list[str] = []
        forwarded = 0
        for number, case in enumerate(CASES):
            refused, statuses = self.run_case(number, case)
            problems.append(self.judge(case, refused, statuses))
            seen = tuple(judge.seen.pop(source(number), ()))
            expected = case.requests if not refused or FORWARDED not in case.verdicts else ()
            forwarded += len(seen)
            if seen != expected:
                problems.append(f"{case.label}: h11 saw {seen} instead of {expected}")
            text = judge.texts.get(source(number), b"")
            problems += [f"{case.label}: {name!r} reached the backend" for name in case.absent if name in text]
        self.fail_with(problems)
        self.assertEqual((judge.errors, judge.seen), ([], {}))
        self.assertGreater(forwarded, 200)
        self.wait_idle(self.front_proxy)

    def test_nginx_sees_no_more_than_was_meant(self) -> None:
        """nginx is stricter with some targets and hosts, but never sees a request that h11 would not."""
        if shutil.which("nginx") is None:
            self.skipTest("nginx is not installed")
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        nginx = Nginx(folder)
        self.addCleanup(nginx.close)
        wait_for(nginx.up, "nginx accepts")
        self.start(nginx.port)
        outcomes = [self.run_case(number, case) for number, case in enumerate(CASES)]
        self.ask(get("/the-last-one"))
        wait_for(lambda: any(line["target"] == "/the-last-one" for line in nginx.lines()), "nginx's last line")
        logged: dict[str, list[tuple[bytes, bytes, bytes]]] = {}
        refused: dict[str, int] = {}
        for line in nginx.lines():
            if int(line["status"]) < 400:
                seen = tuple(line[key].encode("latin-1") for key in ("method", "target", "body"))
                logged.setdefault(line["for"], []).append(seen)  # type: ignore[arg-type]
            else:
                refused[line["for"]] = refused.get(line["for"], 0) + 1
        self.assertEqual(logged.pop("127.0.0.1"), [(b"GET", b"/the-last-one", b"")])
        problems, exact = [], 0
        for number, (case, (status, statuses)) in enumerate(zip(CASES, outcomes, strict=True)):
            found = tuple(logged.pop(source(number), ()))
            expected = case.requests if not status or FORWARDED not in case.verdicts else ()
            bad = refused.pop(source(number), 0)
            exact += bool(found) and found == expected
            whole = all(method in METHODS for method, _, _ in expected) and 400 not in statuses
            if found != (expected if whole else expected[: len(found)]):
                problems.append(f"{case.label}: nginx saw {found} instead of {expected} ({statuses})")
            if len(found) + bad > len(expected) + 1:
                problems.append(f"{case.label}: nginx saw {len(found) + bad} requests")
        self.fail_with(problems)
        # nobody's: what nginx could not even take for a request of ours
        self.assertEqual((logged, {key: count for key, count in refused.items() if key}), ({}, {}))
        self.assertGreater(exact, 200)


class ResponseCorpusTests(CorpusTestCase):
    """What of backends' answers reaches clients."""

    def test_clients_get_whole_answers_or_see_that_they_are_not(self) -> None:
        """Passed on as they are, 502, or cut off; the next client is not told what was left over."""

        def talk(connection: BackendConnection) -> None:
            request = connection.read_request()
            if request is not None:
                connection.send(ANSWERS[int(request.target[1:])].data)

        backend = self.backend(talk)
        self.front(backend, keys="backend_timeout = 5s\n")
        problems = [self.judge_answer(number, answer) for number, answer in enumerate(ANSWERS)]
        self.fail_with(problems)
        self.wait_idle(self.front_proxy)

    def judge_answer(self, number: int, answer: BackendAnswer) -> str:
        """Ask for it; say what is wrong, or nothing."""
        client = self.client().send(get(f"/{number}", method=answer.method.decode()))
        interim: list[int] = []
        try:
            got: Message | None = client.read(answer.method)
            while got is not None and got.status < 200:
                interim.append(got.status)
                got = client.read(answer.method)
        except (ConnectionEndedError, ConnectionResetError, MalformedMessageError):
            got = None
        finally:
            client.sock.close()
        if answer.verdict == PASSED:
            found = got is not None and (got.status, got.body, tuple(interim))
            wanted = (answer.status, answer.body, answer.interim)
            return "" if found == wanted else f"{answer.label}: {found} instead of {wanted}"
        if got is None or got.status == 502:
            return ""
        why = "cut off" if answer.verdict == CUT else "502"
        return f"{answer.label}: {got.status} {got.body[:50]!r} instead of {why}"
