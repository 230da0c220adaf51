"""A real ACME authority: pebble, with a DNS server that sends every name to 127.0.0.1."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.certificates import Authority
from tests.integration.support import free_ports, wait_for

#: where `go install` puts programs
GO_BIN = Path(os.environ.get("GOPATH") or Path.home() / "go") / "bin"


def find(name: str) -> str | None:
    """Return the path of a program of pebble's; None = it is not installed (`make peers`)."""
    return shutil.which(name) or shutil.which(str(GO_BIN / name))


class Pebble:
    """
    One authority, which can be stopped and started again; it forgets everything then.

    :ivar directory: its URL. :ivar ca: the bundle that its own certificate is checked with.
    """

    def __init__(
        self,
        folder: Path,
        http_port: int,
        tls_port: int,
        *,
        life_s: int = 7776000,
        binding: tuple[str, str] | None = None,
    ) -> None:
        """
        Prepare it.

        :param http_port, tls_port: where it validates. :param life_s: of the certificates that it issues.
        :param binding: identifier and key without which it makes no account.
        """
        self.folder = folder
        self.port, self.management, self.dns, self._resolver = free_ports(4)
        self.directory = f"https://localhost:{self.port}/dir"
        folder.mkdir(exist_ok=True)
        authority = Authority()
        self.ca = str(folder / "ca.pem")
        authority.write(self.ca)
        authority.leaf("localhost", "127.0.0.1").write(folder / "own.pem")
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(folder / "own.pem"),
            "privateKey": str(folder / "own.pem"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "domainBlocklist": ["blocked.example"],
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "externalAccountBindingRequired": binding is not None,
            "externalAccountMACKeys": dict([binding] if binding else []),
            # where an order names none, pebble takes any
            "profiles": {"tests": {"description": "tests", "validityPeriod": life_s}},
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        self._environment = os.environ | {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "0",
            "PEBBLE_AUTHZREUSE": "0",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start both programs and wait until they answer."""
        resolver = ["pebble-challtestsrv", "-defaultIPv6", "", "-dnsserver", f"127.0.0.1:{self.dns}"]
        resolver += ["-management", f"127.0.0.1:{self._resolver}"]
        resolver += ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]
        self._run(resolver)
        self._run(["pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{self.dns}"])
        wait_for(self._answers, f"pebble: {self.log()}")

    def _run(self, command: list[str]) -> None:
        path = find(command[0])
        assert path is not None
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [path, *command[1:]],
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self._processes.append(process)

    def _answers(self) -> bool:
        try:
            with urlopen(self.directory, timeout=5, context=ssl.create_default_context(cafile=self.ca)) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def roots(self) -> str:
        """PEM of the root that it signs with now."""
        url = f"https://localhost:{self.management}/roots/0"
        with urlopen(url, timeout=5, context=ssl.create_default_context(cafile=self.ca)) as answer:
            text: str = answer.read().decode()
            return text

    def log(self) -> str:
        """What both programs said."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """End both."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(10)
        self._processes.clear()
