"""Our builds: the same source interpreted and compiled, each under a name of its own in every table."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.processes import PROXY_CORE, Bench, Running, free_port
from benchmarks.rows import PURE

RUN_TWISTD = "from twisted.scripts.twistd import run; run()"


@dataclass(frozen=True)
class Build:
    """
    How one build is run.

    :param name: what tables call it.
    :param python: the command that starts its interpreter.
    """

    name: str
    python: tuple[str, ...]

    def start(self, bench: Bench, config: str, port: int, *, limits: str = "", datagrams: bool = False) -> Running:
        """
        Run the appliance with the sections of ``config``, with an admin listener and no access log.

        :param port: where it listens for traffic.
        :param limits: lines of its first section.
        :param datagrams: nobody can tell by a connection whether it does.
        """
        admin = free_port()
        path = bench.write(
            f"ours-{port}.ini",
            f"[appliance]\naccess_log = none\n{limits}[admin]\nlisten = tcp:{admin}:interface=127.0.0.1\n{config}",
        )
        command = (*self.python, "-c", RUN_TWISTD, "-n", "--pidfile=", "proxy", "--config", path)
        process = bench.start(PROXY_CORE, *command, port=admin if datagrams else port)
        return Running(self.name, port, process.pid)


#: what runs the benchmark
INSTALLED = Build(PURE, (sys.executable,))
BUILDS = (INSTALLED,)
