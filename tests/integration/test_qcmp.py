"""The ping: a real round trip."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.integration.support import ProxyTestCase, free_ports

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class CommandTests(ProxyTestCase):
    """A real service and the command."""

    def test_the_command_measures_a_service_of_ours(self) -> None:
        """Three answers; and none from a port where nobody listens."""
        port, nobody = free_ports(2)
        proxy = self.proxy(f"[qcmp p]\nlisten = udp:{port}\n")
        command = [sys.executable, "-m", "netappliance", "qcmp-ping", "-a", "3", "-t", "2"]
        done = subprocess.run(
            [*command, f"127.0.0.1:{port}"], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        self.assertEqual((done.returncode, done.stdout.count(" ms\n")), (0, 4), done.stderr)
        self.assertEqual(proxy.metric("qcmp_packets_total", kind="valid"), 3)
        done = subprocess.run(
            [*command, f"127.0.0.1:{nobody}"], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        self.assertEqual((done.returncode, done.stdout.count("no answer")), (1, 3))
