"""A private network namespace for a test: its own loopback, conntrack table, rules and sysctls."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from tests.integration.support import ProxyTestCase

_CLONE_NEWNET = 0x40000000
_HERE = Path("/proc/thread-self/ns/net")


def run(*command: str) -> str:
    """Run a program in this namespace and return what it printed; its failure is the test's."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise AssertionError(f"{command}: {done.stderr}")
    return done.stdout


def sysctl(name: str, value: int) -> None:
    """Set ``net.netfilter.NAME`` of this namespace."""
    Path("/proc/sys/net/netfilter", name).write_text(str(value))


class NamespaceTestCase(ProxyTestCase):
    """Every test runs in a namespace of its own, and so does what it starts. Skipped without root and the programs."""

    programs: tuple[str, ...] = ("ip", "nft", "conntrack", "ss")

    def setUp(self) -> None:
        """Enter a new namespace; its loopback is up."""
        missing = [program for program in self.programs if shutil.which(program) is None]
        if missing or os.geteuid():
            self.skipTest(f"needs root and {', '.join(self.programs)}")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
        if self._libc.unshare(_CLONE_NEWNET):
            os.close(self._home)
            self.skipTest(f"needs a network namespace: {os.strerror(ctypes.get_errno())}")
        self.addCleanup(self._go_home)
        run("ip", "link", "set", "lo", "up")

    def _go_home(self) -> None:
        """Return to the namespace of the suite."""
        failed = self._libc.setns(self._home, _CLONE_NEWNET)
        os.close(self._home)
        if failed:
            os._exit(70)  # nothing after this would run where it belongs
