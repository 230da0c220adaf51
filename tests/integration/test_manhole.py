"""The manhole, tried with the real OpenSSH client."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from netappliance.admin.manhole import ManholeService
from netappliance.admin.manhole_section import ManholeSection
from netappliance.config import values

HAVE_SSH = shutil.which("ssh") is not None and shutil.which("ssh-keygen") is not None


class Client(ProcessProtocol):
    """One run of ssh: collects what it prints, ends with (status, output)."""

    def __init__(self, script: bytes) -> None:
        self.output = b""
        self.ended: Deferred[tuple[int, bytes]] = Deferred()
        self._script = script

    def connectionMade(self) -> None:
        if self._script:
            cast("Any", self.transport).write(self._script)
            cast("Any", self.transport).closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.output += data

    def processEnded(self, reason: Failure) -> None:
        status = cast("Any", reason.value).status if reason.check(ProcessTerminated, ProcessDone) else -1
        self.ended.callback((status or 0, self.output))


class ManholeTests(TestCase):
    """Who gets in, what they find there, and what is logged."""

    timeout = 60
    if not HAVE_SSH:
        skip = "ssh and ssh-keygen are not installed"

    def setUp(self) -> None:
        # unix sockets and ssh dislike trial's long folder names
        self.folder = Path(tempfile.mkdtemp(prefix="manhole"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.right = self.make_key("right")
        self.keys = self.folder / "keys.pub"
        self.keys.write_bytes(b"# operators\n\n" + self.right.with_suffix(".pub").read_bytes())
        self.events: list[dict[str, Any]] = []
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.service: ManholeService | None = None

    async def tearDown(self) -> None:  # type: ignore[override]
        if self.service is not None and self.service.running:
            await self.service.stopService()
            # the transports' ends are delivered in later turns
            while self.service.factory is not None and self.service.factory.connections:
                await deferLater(reactor, 0.01)

    def make_key(self, name: str, kind: str = "ed25519") -> Path:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True, timeout=30)
        return path

    def start(self, **changes: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        section = ManholeSection(
            **{
                "listen": values.stream_endpoints(f"tcp:{self.port}:interface=127.0.0.1"),
                "authorized_keys": str(self.keys),
                "host_key": str(self.folder / "host_key"),
                **changes,
            }
        )
        sessions = {1: "session one", 2: "session two"}
        self.service = ManholeService(
            section, {"appliance": "the appliance", "sessions": sessions, "clusters": {}}, reactor
        )
        self.service.privilegedStartService()
        self.service.startService()

    def ssh(self, key: Path | None, script: bytes, *options: str, command: tuple[str, ...] = ()) -> Client:
        client = Client(script)
        base = ["ssh", "-F", "none", "-p", str(self.port), "-l", "operator"]
        base += [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            f"UserKnownHostsFile={self.folder}/known",
            "-o",
            "BatchMode=yes",
        ]
        base += [
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "IdentityAgent=none",
            "-o",
            "ConnectTimeout=10",
            "-o",
            "LogLevel=INFO",
        ]
        if key is not None:
            base += ["-i", str(key)]
        arguments = [*base, *options, "127.0.0.1", *command]
        reactor.spawnProcess(
            client, shutil.which("ssh") or "ssh", arguments, env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        )
        return client

    def logged(self, start: str) -> list[dict[str, Any]]:
        return [event for event in self.events if str(event.get("log_format", "")).startswith(start)]

    def fingerprint(self, key: Path) -> str:
        printed = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], check=True, capture_output=True, timeout=30)
        return printed.stdout.split()[1].decode()

    async def test_the_right_key_gets_a_prompt(self) -> None:
        """An authorized key evaluates Python in the namespace, and both ends of the login carry its fingerprint."""
        self.start()
        script = (
            b"print(appliance.upper())\nsorted(sessions.values())\nsorted(k for k in globals() if k[0] != '_')\n\x04"
        )
        _, output = await self.ssh(self.right, script, "-tt").ended
        self.assertIn(b"THE APPLIANCE", output)
        self.assertIn(b"['session one', 'session two']", output)
        self.assertIn(b"['appliance', 'clusters', 'sessions']", output)
        expected = self.fingerprint(self.right)
        while not self.logged("manhole logout"):
            await deferLater(reactor, 0.01)
        for what in ("manhole login", "manhole logout"):
            (event,) = self.logged(what)
            self.assertEqual((event["fingerprint"], event["user"]), (expected, "operator"))
            self.assertRegex(event["peer"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_other_key_types_get_in_too(self) -> None:
        """ECDSA and RSA keys work with the current client."""
        ecdsa, rsa = self.make_key("ecdsa", "ecdsa"), self.make_key("rsa", "rsa")
        with self.keys.open("ab") as stream:
            stream.write(ecdsa.with_suffix(".pub").read_bytes() + rsa.with_suffix(".pub").read_bytes())
        self.start()
        for key in (ecdsa, rsa):
            _, output = await self.ssh(key, b"print(6 * 7)\n\x04", "-tt").ended
            self.assertIn(b"42", output, (key.name, output))

    async def test_each_login_has_its_own_names(self) -> None:
        """What one operator assigns is not in the next one's namespace."""
        self.start()
        await self.ssh(self.right, b"appliance = 'changed'\n\x04", "-tt").ended
        _, output = await self.ssh(self.right, b"print(appliance.title())\n\x04", "-tt").ended
        self.assertIn(b"The Appliance", output)

    async def test_without_a_terminal_and_at_end_of_input(self) -> None:
        """A client without a terminal that closes its input is served and let go, with no traceback."""
        self.start()
        _, output = await self.ssh(self.right, b"print(appliance.upper())\n", "-T").ended
        self.assertIn(b"THE APPLIANCE", output)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_wrong_key_is_refused(self) -> None:
        """A key that is not in the file does not get in; the refusal carries its fingerprint."""
        self.start()
        wrong = self.make_key("wrong")
        status, output = await self.ssh(wrong, b"print(1)\n", "-tt").ended
        self.assertNotEqual(status, 0)
        self.assertIn(b"Permission denied (publickey)", output)
        self.assertEqual(self.logged("manhole refuses key")[0]["fingerprint"], self.fingerprint(wrong))
        self.assertEqual(self.logged("manhole login"), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_password_is_not_even_offered(self) -> None:
        """Passwords, keyboard-interactive and none are no methods here."""
        self.start()
        status, output = await self.ssh(None, b"", "-o", "PubkeyAuthentication=no", "-o", "BatchMode=no", "-o",
                                        "NumberOfPasswordPrompts=1", "-v").ended  # fmt: skip
        self.assertNotEqual(status, 0)
        self.assertIn(b"Authentications that can continue: publickey\r\n", output)
        self.assertIn(b"Permission denied (publickey)", output)
        self.assertEqual(self.logged("manhole login"), [])

    async def test_commands_subsystems_and_forwarding_are_refused(self) -> None:
        """The prompt is all there is: no command, no sftp, no tunnel."""
        self.start()
        status, output = await self.ssh(self.right, b"", command=("id",)).ended
        self.assertNotEqual(status, 0)
        self.assertIn(b"exec request failed", output)
        status, output = await self.ssh(self.right, b"", "-s", command=("sftp",)).ended
        self.assertNotEqual(status, 0)
        self.assertIn(b"subsystem request failed", output)
        status, output = await self.ssh(self.right, b"", "-W", "127.0.0.1:1").ended
        self.assertNotEqual(status, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_removed_key_is_out_at_once(self) -> None:
        """The key file is read for each login; one that became doubtful lets nobody in."""
        self.start()
        other = self.make_key("other")
        self.keys.write_bytes(other.with_suffix(".pub").read_bytes())
        status, _ = await self.ssh(self.right, b"print(1)\n", "-tt").ended
        self.assertNotEqual(status, 0)
        self.keys.unlink()
        status, _ = await self.ssh(other, b"print(1)\n", "-tt").ended
        self.assertNotEqual(status, 0)
        self.assertIn("cannot read", self.logged("manhole lets nobody in")[0]["why"])
        self.assertEqual(self.logged("manhole login"), [])

    async def test_logins_are_bounded(self) -> None:
        """Beyond max_logins a right key is refused until somebody leaves."""
        self.start(max_logins=1)
        first = self.ssh(self.right, b"", "-tt")
        while not self.logged("manhole login"):
            await deferLater(reactor, 0.02)
        status, _ = await self.ssh(self.right, b"print(1)\n", "-tt").ended
        self.assertNotEqual(status, 0)
        self.assertEqual(len(self.logged("manhole refuses a login")), 1)
        cast("Any", first.transport).write(b"\x04")
        await first.ended
        _, output = await self.ssh(self.right, b"print(6 * 7)\n\x04", "-tt").ended
        self.assertIn(b"42", output)

    async def test_connections_that_do_not_log_in_are_bounded_and_cut(self) -> None:
        """Silent connections are refused beyond max_pending and closed after login_timeout."""
        self.start(max_pending=2, login_timeout_s=0.3)
        silent = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(4)]
        for sock in silent:
            self.addCleanup(sock.close)
        while not self.logged("manhole refuses a connection"):
            await deferLater(reactor, 0.02)
        assert self.service is not None
        assert self.service.factory is not None
        self.assertLessEqual(len(self.service.factory.connections), 2)
        while self.service.factory.connections:
            await deferLater(reactor, 0.02)
        self.assertEqual(len(self.logged("manhole closes")), 2)
        _, output = await self.ssh(self.right, b"print(6 * 7)\n\x04", "-tt").ended
        self.assertIn(b"42", output)

    async def test_the_host_key_is_made_once_with_mode_0600(self) -> None:
        """First start makes the key, the second uses the same one, and the client agrees on its fingerprint."""
        self.start()
        path = self.folder / "host_key"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        before = path.read_bytes()
        await self.ssh(self.right, b"\x04", "-tt").ended
        self.assertIn(b"ssh-ed25519", (self.folder / "known").read_bytes())
        assert self.service is not None
        await self.service.stopService()
        self.start()
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(self.logged("manhole on")[0]["key"], self.fingerprint(path))
