"""
The HTTP proxy under the benchmark's load, watched by py-spy (lines and functions of Python), by perf (kernel and
interpreter) and by strace (system calls), as far as they are installed.

``python -m benchmarks.profile_http [SECONDS]``
"""

from __future__ import annotations

import collections
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks import backends, http, http_peers
from benchmarks.http import CONNECTIONS
from benchmarks.processes import PEER_CORE, Bench, Running

#: lines of each list
TOP = 25


def main() -> None:
    """Run the load once for each view and print the top of it."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with Bench() as bench:
        proxy = http_peers.ours(bench, backends.small_answers(bench))
        _, script = http.write_requests(bench.folder, "keep")
        py_spy = shutil.which("py-spy") or str(Path(sysconfig.get_path("scripts")) / "py-spy")
        if Path(py_spy).exists():
            stacks = bench.folder / "stacks"
            command = [py_spy, "record", "-f", "raw", "-r", "500", "-d", str(seconds), "-o", str(stacks)]
            said = _under_load(proxy, script, seconds, [*command, "-p", str(proxy.pid)])
            if stacks.exists():
                _print_stacks(stacks)
            else:
                print(f"py-spy: {said}")
        else:
            print("skipped: py-spy is not installed (pip install py-spy)")
        if shutil.which("perf"):
            data = str(bench.folder / "perf.data")
            command = ["perf", "record", "-q", "-o", data, "-p", str(proxy.pid), "--", "sleep", str(seconds)]
            _under_load(proxy, script, seconds, command)
            _print_perf(data)
        else:
            print("skipped: perf is not installed")
        _count_system_calls(proxy, script)


def _under_load(proxy: Running, script: Path, seconds: int, watcher: list[str]) -> str:
    """Run a watcher while wrk runs a little longer; what the watcher said."""
    url = f"http://127.0.0.1:{proxy.port}/"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds + 2}", "-s", str(script), url]
    load = subprocess.Popen(["taskset", "-c", PEER_CORE, *command], stdout=subprocess.PIPE, text=True)
    watched = subprocess.run(["taskset", "-c", PEER_CORE, *watcher], capture_output=True, text=True, check=False)
    said, _ = load.communicate()
    print("\n".join(line for line in said.splitlines() if "requests in" in line or "Requests/sec" in line))
    return watched.stdout + watched.stderr


def _print_stacks(path: Path) -> None:
    """Lines and functions by their share of the samples; a system call counts for the line that makes it."""
    lines: collections.Counter[str] = collections.Counter()
    own: collections.Counter[str] = collections.Counter()
    total: collections.Counter[str] = collections.Counter()
    samples = 0
    for sampled in path.read_text().splitlines():
        stack, _, count = sampled.rpartition(" ")
        frames = stack.split(";")
        functions = [re.sub(r":\d+\)$", ")", frame) for frame in frames]
        samples += int(count)
        lines[frames[-1]] += int(count)
        own[functions[-1]] += int(count)
        for function in set(functions):
            total[function] += int(count)
    for title, counted in (("lines", lines), ("functions", own), ("functions with what they call", total)):
        print(f"\n{title} ({samples} samples)")
        for name, times in counted.most_common(TOP):
            print(f"  {times / max(1, samples):6.1%}  {name}")


def _print_perf(data: str) -> None:
    """Shares of kernel, interpreter and libraries, then their symbols."""
    for title, sort in (("where", "dso"), ("symbols", "dso,symbol")):
        command = ["perf", "report", "-i", data, "--stdio", "--no-children", "-q", "--sort", sort]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line.rstrip(" -") for line in done.stdout.splitlines() if line.strip() and line[0] != "#"]
        print(f"\nperf, {title}")
        print("\n".join(lines[:TOP]) or done.stderr)


def _count_system_calls(proxy: Running, script: Path) -> None:
    """System calls for each request, by name, as long as strace is there to count them."""
    if not shutil.which("strace"):
        print("skipped: strace is not installed")
        return
    said = _under_load(proxy, script, 3, ["timeout", "-s", "INT", "3", "strace", "-f", "-c", "-p", str(proxy.pid)])
    print(f"\nsystem calls in 3 s (strace slows the proxy down; compare the numbers of calls)\n{said}")


if __name__ == "__main__":
    main()
