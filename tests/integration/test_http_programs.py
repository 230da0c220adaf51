"""Programs that people use, through the HTTP proxy: curl, git, a WebSocket library, a browser."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from unittest import SkipTest

from tests.integration.http_front import Handler, HttpTestCase, WebServer, read_until
from tests.integration.support import BUDGET_S, read_all, wait_for

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

SIZE = 8 * 1024 * 1024
BACKEND = "/usr/lib/git-core/git-http-backend"
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
UPGRADE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
COUNTING = """<script>
addEventListener("load", () => {
  let styles = 0, images = 0;
  for (let n = 0; n < 15; n++) {
    if (getComputedStyle(document.getElementById("s" + n)).color == `rgb(1, 2, ${n})`) styles++;
  }
  for (const one of document.images) if (one.naturalWidth > 0) images++;
  document.getElementById("result").textContent = `scripts=${window.scripts} styles=${styles} images=${images}`;
});
</script>"""


class GitHandler(Handler):
    """A CGI (RFC 3875) for ``git http-backend``."""

    root: Path

    def do_GET(self) -> None:
        """Run the program; its output is the answer, streamed without a length to a client of HTTP/1.1 in chunks."""
        path, _, query = self.path.partition("?")
        body = self.read_body()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "a",
        }
        done = subprocess.run([BACKEND], input=body, env=environment, capture_output=True, timeout=60, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(content), 30_000):
            piece = content[at : at + 30_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_POST = do_GET


class CurlTests(HttpTestCase):
    """What curl asks for is what it gets."""

    if shutil.which("curl") is None:
        skip = "curl is not installed"

    def setUp(self) -> None:
        """A folder, a web server with a large file, and a proxy."""
        self.folder = Path(mkdtemp(prefix="curl-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.content = os.urandom(SIZE)
        self.source = self.folder / "source"
        self.source.write_bytes(self.content)
        self.said = f"{SIZE} {hashlib.sha256(self.content).hexdigest()}\n".encode()

    def start(self, keys: str = "") -> tuple[WebServer, str]:
        """Start server and proxy; the server and the proxy's URL."""
        server = self.web_server()
        server.site.files = {"/large": ("application/octet-stream", self.content), "/small": ("text/plain", b"small\n")}
        _proxy, port = self.front(server, keys=keys)
        return server, self.transport.url(port)

    def curl(self, *arguments: str, stdin: bytes = b"", status: int = 0) -> bytes:
        """Run curl; its standard output. Anything but the wanted exit status is a failure."""
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", *arguments],
            env={**os.environ, **self.transport.environment},
            input=stdin,
            capture_output=True,
            timeout=BUDGET_S + 5,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout

    def test_download(self) -> None:
        """8 MiB, framed by length and in chunks."""
        _, url = self.start()
        self.assertEqual(self.curl(f"{url}/large"), self.content)
        self.assertEqual(self.curl(f"{url}/large?chunked"), self.content)

    def test_several_requests_use_one_connection(self) -> None:
        """Kept between client and proxy."""
        _, url = self.start()
        said = self.curl("-w", "%{num_connects} %{http_code}\n", f"{url}/small", f"{url}/small", f"{url}/small")
        self.assertEqual(said, b"small\n1 200\nsmall\n0 200\nsmall\n0 200\n")

    def test_parallel_downloads(self) -> None:
        """Twelve at once."""
        _, url = self.start()
        names = [str(self.folder / f"part{number}") for number in range(12)]
        self.curl("-Z", *(word for name in names for word in ("-o", name, f"{url}/large")))
        for name in names:
            self.assertEqual(hashlib.sha256(Path(name).read_bytes()).hexdigest(), self.said.decode().split()[1])

    def test_upload_waits_for_100_continue(self) -> None:
        """A long PUT is announced with Expect; the interim answer reaches curl, and the body the backend."""
        server, url = self.start()
        said = self.curl("-i", "-T", str(self.source), "-H", "Expect: 100-continue", f"{url}/up")
        self.assertTrue(said.startswith(b"HTTP/1.1 100 Continue\r\n"), said[:200])
        self.assertIn(b"\r\n\r\nHTTP/1.1 201 ", said)
        self.assertTrue(said.endswith(self.said), said[-200:])
        self.assertEqual(server.site.uploads["/up"], self.content)

    def test_chunked_upload(self) -> None:
        """From a pipe, so that its length is not known."""
        server, url = self.start()
        self.assertEqual(self.curl("-T", "-", f"{url}/up", stdin=self.content), self.said)
        self.assertEqual(server.site.uploads["/up"], self.content)

    def test_upload_without_expect(self) -> None:
        """The body comes at once."""
        _server, url = self.start()
        self.assertEqual(self.curl("-H", "Expect:", "--data-binary", f"@{self.source}", f"{url}/up"), self.said)

    def test_a_form(self) -> None:
        """multipart/form-data with a file."""
        server, url = self.start()
        self.curl("-F", "name=value", "-F", f"file=@{self.source}", f"{url}/form")
        self.assertIn(self.content, server.site.uploads["/form"])

    def test_ranges_and_resumption(self) -> None:
        """Parts at the front, in the middle and at the end, and the rest of a broken download."""
        _, url = self.start()
        for asked, expected in (
            ("0-99", self.content[:100]),
            ("5000-70000", self.content[5000:70001]),
            ("-77", self.content[-77:]),
        ):
            self.assertEqual(self.curl("-r", asked, f"{url}/large"), expected, asked)
        part = self.folder / "part"
        part.write_bytes(self.content[:1_000_000])
        self.curl("-C", "-", "-o", str(part), f"{url}/large")
        self.assertEqual(part.read_bytes(), self.content)

    def test_http_1_0(self) -> None:
        """No chunks for a client of 1997, no kept connection unless it asks, and its upload arrives."""
        server, url = self.start()
        for path in ("/large", "/large?chunked"):
            said = self.curl("--http1.0", "-i", f"{url}{path}")
            head, _, body = said.partition(b"\r\n\r\n")
            self.assertNotIn(b"transfer-encoding", head.lower())
            self.assertEqual(body, self.content, path)
        self.assertEqual(self.curl("--http1.0", "-T", str(self.source), f"{url}/up"), self.said)
        self.assertEqual(server.site.uploads["/up"], self.content)

    def test_head(self) -> None:
        """The length of what GET would bring, no body, and the connection serves on."""
        _, url = self.start()
        said = self.curl("-I", "-w", "%{num_connects}\n", f"{url}/large", f"{url}/large")
        self.assertEqual(said.lower().count(b"content-length: %d\r\n" % SIZE), 2)
        self.assertTrue(said.endswith(b"\r\n\r\n0\n"), said)

    def test_large_headers(self) -> None:
        """12 KiB pass; 40 KiB are refused with 431 and reach no backend."""
        server, url = self.start()
        self.curl("-H", f"X-Large: {'a' * 12_000}", f"{url}/small")
        self.assertEqual(server.site.arrived[-1].header("X-Large"), ["a" * 12_000])
        self.assertEqual(
            self.curl("-o", os.devnull, "-w", "%{http_code}", "-H", f"X-Large: {'a' * 40_000}", f"{url}/small"), b"431"
        )
        self.assertEqual(len(server.site.arrived), 1)

    def test_a_body_above_the_limit(self) -> None:
        """413 to an announced length and to chunks; the backend never sees a whole request."""
        server, url = self.start(keys="max_body_size = 1MiB")
        wanted = ("-o", os.devnull, "-w", "%{http_code}")
        announced = self.curl(*wanted, "--data-binary", f"@{self.source}", "-H", "Expect:", f"{url}/up")
        expected = self.curl(*wanted, "-T", str(self.source), "-H", "Expect: 100-continue", f"{url}/up")
        chunked = self.curl(*wanted, "-T", "-", "-H", "Expect:", f"{url}/up", stdin=self.content)
        self.assertEqual((announced, expected, chunked), (b"413", b"413", b"413"))
        self.assertEqual(server.site.uploads, {})

    def test_pipelining_by_hand(self) -> None:
        """Five requests in one segment, one with a body; five answers in their order."""
        server, url = self.start()
        client = self.connect(int(url.rpartition(":")[2]))
        get = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n"
        put = b"PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        missing = b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n"
        head = b"HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n"
        last = b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        client.sendall(get + put + missing + head + last)
        said = read_all(client)
        statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", said)
        self.assertEqual(statuses, [b"200", b"201", b"404", b"200", b"200"])
        self.assertTrue(said.endswith(b"\r\n\r\nsmall\n"), said[-80:])
        self.assertEqual(
            [(one.method, one.target) for one in server.site.arrived],
            [("GET", "/small"), ("PUT", "/p"), ("GET", "/missing"), ("HEAD", "/large"), ("GET", "/small")],
        )


class WebSocketTests(HttpTestCase):
    """A WebSocket library's client and server, and the moment of the upgrade by hand."""

    def serve(self) -> int:
        """A server that sends every message back; its port."""
        try:
            from websockets.sync.server import Server, ServerConnection, serve
        except ImportError:
            raise SkipTest("websockets is not installed") from None

        def answer(connection: ServerConnection) -> None:
            for message in connection:
                connection.send(message)

        server: Server = serve(answer, "127.0.0.1", 0, max_size=None)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(thread.join, BUDGET_S)
        self.addCleanup(server.shutdown)
        port: int = server.socket.getsockname()[1]
        return port

    def open(self, port: int) -> ClientConnection:
        """A client of the proxy."""
        from websockets.sync.client import connect

        url = f"{self.transport.url(port, 'ws')}/chat?room=1"
        return connect(url, ssl=self.transport.context(), max_size=None, open_timeout=BUDGET_S)

    def test_messages_of_all_sizes(self) -> None:
        """Text, bytes, 16 MiB in one message, ping, and the close code."""
        proxy, port = self.front(self.serve())
        with self.open(port) as client:
            for message in ("", "hello", "äöü" * 1000, b"\x00" * 65536, os.urandom(16 * 1024 * 1024)):
                client.send(message)
                self.assertEqual(client.recv(BUDGET_S), message)
            self.assertTrue(client.ping().wait(BUDGET_S))
            client.close(1000, "done")
        self.assertEqual((client.close_code, client.close_reason), (1000, "done"))
        wait_for(lambda: proxy.metric("session_active") == 0, "no session left")

    def test_many_clients_at_once(self) -> None:
        """Twenty tunnels; no message crosses into another."""
        _proxy, port = self.front(self.serve())
        clients = [self.open(port) for _ in range(20)]
        for number, client in enumerate(clients):
            self.addCleanup(client.close)
            client.send(f"I am {number}")
        self.assertEqual([client.recv(BUDGET_S) for client in clients], [f"I am {number}" for number in range(20)])

    def test_bytes_after_the_101_in_the_same_segment(self) -> None:
        """A server that speaks first, in the segment of its answer; and a client that does not wait for it."""
        got: list[bytes] = []

        def upgrade(connection: socket.socket) -> None:
            got.append(read_until(connection, b"\r\n\r\n"))
            connection.sendall(SWITCHING + b"server first")
            got.append(read_until(connection, b"client last"))
            connection.sendall(b"bye")

        _proxy, port = self.front(self.peer(upgrade))
        client = self.connect(port)
        client.sendall(UPGRADE)
        head, _, early = read_until(client, b"server first").partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"), head)
        self.assertIn(b"\r\nupgrade: websocket", head.lower())
        self.assertIn(b"\r\nconnection: upgrade", head.lower())
        self.assertEqual(early, b"server first")
        client.sendall(b"client last")
        self.assertEqual(read_all(client), b"bye")
        self.assertIn(b"\r\nupgrade: websocket", got[0].lower())
        self.assertIn(b"\r\nconnection: upgrade", got[0].lower())
        self.assertEqual(got[1], b"client last")

    def test_a_refused_upgrade_is_an_answer_like_any_other(self) -> None:
        """The backend says 403; the connection serves on."""

        def refuse(connection: socket.socket) -> None:
            for _ in range(2):
                read_until(connection, b"\r\n\r\n")
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")

        _proxy, port = self.front(self.peer(refuse))
        client = self.connect(port)
        for request in (UPGRADE, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            client.sendall(request)
            self.assertTrue(read_until(client, b"\r\n\r\nno").startswith(b"HTTP/1.1 403 "))


class GitTests(HttpTestCase):
    """git over smart HTTP: ``git http-backend`` behind the proxy."""

    if shutil.which("git") is None or not Path(BACKEND).exists():
        skip = "git http-backend is not installed"

    def setUp(self) -> None:
        """A bare repository with some history."""
        self.folder = Path(mkdtemp(prefix="git-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.git("init", "-q", "-b", "trunk", "origin")
        origin = self.folder / "origin"
        for number in range(30):
            (origin / f"file{number}").write_bytes(os.urandom(100_000 if number % 10 else 2_000_000))
        self.commit(origin, "first")
        self.git("clone", "-q", "--bare", "origin", "served.git")
        self.git("-C", "served.git", "config", "http.receivepack", "true")

    def git(self, *arguments: str) -> str:
        """Run git in the folder; its output."""
        ours = {"HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        environment = {**os.environ, **ours, **self.transport.environment}
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, timeout=60, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def commit(self, where: Path, message: str) -> None:
        """Commit everything."""
        self.git("-C", str(where), "add", "-A")
        self.git("-C", str(where), "commit", "-q", "-m", message)

    def test_clone_push_and_fetch(self) -> None:
        """What is cloned is what was served; a push in chunks, larger than any buffer, comes out at the other clone."""
        server = self.web_server(type("ThisGit", (GitHandler,), {"root": self.folder}))
        _proxy, port = self.front(server)
        url = f"{self.transport.url(port)}/served.git"
        for version in ("0", "2"):
            self.git("-c", f"protocol.version={version}", "clone", "-q", url, f"clone{version}")
            self.git("-C", f"clone{version}", "fsck", "--strict")
        served = self.git("-C", "served.git", "rev-parse", "trunk")
        self.assertEqual(self.git("-C", "clone0", "rev-parse", "HEAD"), served)
        (self.folder / "clone0" / "added").write_bytes(os.urandom(3_000_000))
        self.commit(self.folder / "clone0", "second")
        self.git("-C", "clone0", "-c", "http.postBuffer=65536", "push", "-q", "origin", "trunk")
        self.git("-C", "clone2", "pull", "-q", "--ff-only")
        self.assertEqual(
            (self.folder / "clone2" / "added").read_bytes(), (self.folder / "clone0" / "added").read_bytes()
        )


class BrowserTests(HttpTestCase):
    """A page with its assets, as a browser loads it."""

    PROGRAM = next(filter(None, map(shutil.which, BROWSERS)), None)
    if PROGRAM is None:
        skip = f"no browser is installed: {', '.join(BROWSERS)}"
    #: further arguments
    flags: tuple[str, ...] = ()

    def test_a_page_with_50_assets(self) -> None:
        """20 scripts, 15 style sheets and 15 images, all of them loaded and run."""
        server = self.web_server()
        server.site.files = page()
        proxy, port = self.front(server)
        profile = mkdtemp(prefix="browser-")
        self.addCleanup(shutil.rmtree, profile, ignore_errors=True)
        done = subprocess.run(
            [
                str(self.PROGRAM),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={profile}",
                "--timeout=20000",
                *self.flags,
                "--dump-dom",
                f"{self.transport.url(port)}/",
            ],
            capture_output=True,
            timeout=60,
            check=False,
        )
        self.assertIn(b"scripts=20 styles=15 images=15", done.stdout, done.stderr[-2000:])
        asked = [one.target for one in server.site.arrived]
        self.assertEqual(len({target for target in asked if target.startswith("/asset")}), 50)
        agents = {value.split("/")[0] for one in server.site.arrived for value in one.header("User-Agent")}
        self.assertEqual(agents, {"Mozilla"})
        wait_for(lambda: proxy.metric("session_active") == 0, "no session left")


def page() -> dict[str, tuple[str, bytes]]:
    """A page that says what of it was loaded, and its assets."""
    files, lines = {}, []
    for number in range(20):
        script = f"/* {'x' * 1000 * number} */ window.scripts = (window.scripts || 0) + 1;"
        files[f"/asset{number}.js"] = ("text/javascript", script.encode())
        lines.append(f'<script src="/asset{number}.js"></script>')
    for number in range(15):
        files[f"/asset{number}.css"] = ("text/css", f"#s{number} {{ color: rgb(1, 2, {number}) }}".encode())
        lines.append(f'<link rel="stylesheet" href="/asset{number}.css"><p id="s{number}">s</p>')
        picture = f'<svg xmlns="http://www.w3.org/2000/svg" width="{number + 1}" height="2"/>'
        files[f"/asset{number}.svg"] = ("image/svg+xml", picture.encode())
        lines.append(f'<img src="/asset{number}.svg">')
    lines.append(COUNTING)
    document = f"<!doctype html><html><body><div id=result></div>{''.join(lines)}</body></html>"
    files["/"] = ("text/html; charset=utf-8", document.encode())
    return files
