"""
Run by test_tracker_sockets in a network namespace of its own: connections of every kind, and what the tracker says.

Usage: python -m tests.integration.sockets_in_namespace SCENE; prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.integration.support import Proxy, free_ports, wait_for

HERE, THERE, HERE6, THERE6 = "10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2"
SILENT = "10.9.0.77"
#: age of a long-lived connection in seconds; who knows it needs less, from the process' start on
LONG_S = 8
GAUGE_OF = {
    "SYN-SENT": "opening", "SYN-RECV": "opening", "ESTAB": "open", "FIN-WAIT-1": "closing", "FIN-WAIT-2": "closing",
    "CLOSE-WAIT": "closing", "LAST-ACK": "closing", "TIME-WAIT": "closing", "CLOSING": "closing",
}  # fmt: skip
#: the other end, in its own namespace: accepts on 7000 to 7003; "c" on its input connects to us, "q" ends it
PEER = """
import socket, sys, threading
kept = []
def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True)
    while True:
        made, _ = listener.accept()
        if port == 7001:
            made.close()
        elif port == 7002:
            made.recv(10); made.close()
        else:
            kept.append(made)
for port in (7000, 7001, 7002):
    threading.Thread(target=serve, args=(port,), daemon=True).start()
for line in sys.stdin:
    if line.startswith("c"):
        kept.append(socket.create_connection((line.split()[1], int(line.split()[2]))))
        print("connected", flush=True)
    elif line.startswith("q"):
        break
"""


def run(*command: str) -> str:
    """Run a command that must succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


@contextlib.contextmanager
def peer_namespace() -> Iterator[subprocess.Popen[str]]:
    """Yield a process in another namespace at the far end of a pair of interfaces."""
    run("ip", "link", "set", "lo", "up")
    peer = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        own = Path("/proc/self/ns/net").readlink()
        wait_for(lambda: Path(f"/proc/{peer.pid}/ns/net").readlink() != own, "the other namespace")
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(peer.pid))
        inside = ("nsenter", "-t", str(peer.pid), "-n", "ip")
        for ip, device, four, six in ((("ip",), "near", HERE, HERE6), (inside, "far", THERE, THERE6)):
            run(*ip, "addr", "add", f"{four}/24", "dev", device)
            run(*ip, "addr", "add", f"{six}/64", "dev", device, "nodad")
            run(*ip, "link", "set", device, "up")
        run(*inside, "link", "set", "lo", "up")
        wait_for(lambda: can_connect(7002), "the peer listens")
        yield peer
    finally:
        peer.kill()
        peer.wait()


def can_connect(port: int) -> bool:
    """True when the peer answers."""
    try:
        socket.create_connection((THERE, port), timeout=1).close()
    except OSError:
        return False
    return True


def tracker(extra: str = "", prefix: tuple[str, ...] = ()) -> Proxy:
    """Start an appliance with a tracker of sockets that ignores loopback."""
    return Proxy(f"[tracker]\nlongterm_duration = 1s\n{extra}\n", prefix).wait_ready()


def series(proxy: Proxy, name: str) -> dict[str, float]:
    """Return label block -> value of one family, without zeros."""
    found = {}
    for line in proxy.get("/metrics")[1].splitlines():
        match = re.fullmatch(rf"{name}(\{{.*\}})? (\S+)", line)
        if match and float(match[2]):
            found[match[1] or ""] = float(match[2])
    return found


def by_host(proxy: Proxy) -> dict[str, int]:
    """Return 'state host' -> connections, from the gauges."""
    found = {}
    for state in ("opening", "open", "closing", "closed"):
        for labels, count in series(proxy, f"conntrack_{state}_connections").items():
            found[f"{state} {labels[7:-2]}"] = int(count)
    return found


def by_ss() -> dict[str, int]:
    """Return the same from ``ss``, for remote ends that are not loopback; inbound ones without the client's port."""
    found: Counter[str] = Counter()
    for line in run("ss", "-tanH").splitlines():
        state, _, _, local, remote = line.split()[:5]
        if state in GAUGE_OF and not remote.startswith(("127.", "[::1]", "[::ffff:127.")):
            remote = re.sub(r"^\[::ffff:([0-9.]+)\]", r"\1", remote)
            inbound = local.rpartition(":")[2] == "7100"
            found[f"{GAUGE_OF[state]} {remote.rpartition(':')[0].strip('[]') if inbound else remote}"] += 1
    return dict(found)


def settled(proxy: Proxy) -> dict[str, object]:
    """Return what the tracker says and what ``ss`` says, as soon as they say the same or else in the end."""
    found: dict[str, object] = {}

    def equal() -> bool:
        found.update(seen=by_host(proxy), ss=by_ss())
        return found["seen"] == found["ss"]

    with contextlib.suppress(AssertionError):  # the test compares what is returned
        wait_for(equal, "the gauges equal ss")
    return found


def dropped() -> int:
    """Return how many notices of ended sockets the kernel dropped for want of buffer."""
    rows = [line.split() for line in Path("/proc/self/net/netlink").read_text().splitlines()[1:]]
    return sum(int(row[8]) for row in rows if row[1] == "4" and int(row[3], 16))


def totals(proxy: Proxy) -> dict[str, int]:
    """Return opened, and closed by how."""
    found = {"opened": int(proxy.metric("tracker_opened_total"))}
    for labels, count in series(proxy, "netappliance_tracker_closed_total").items():
        how = re.search(r'how="(\w+)"', labels)
        assert how is not None
        found[how[1]] = found.get(how[1], 0) + int(count)
    return found


def connect(port: int, host: str = THERE) -> socket.socket:
    """Connect to the peer."""
    return socket.create_connection((host, port), timeout=10)


def scene_states(peer: subprocess.Popen[str], source: str) -> dict[str, object]:
    """Connections in many states, in and out, IPv4 and IPv6: the tracker against ss."""
    assert peer.stdin is not None and peer.stdout is not None
    before = connect(7000)
    proxy = tracker(f"source = {source}")
    try:
        kept = [connect(7000) for _ in range(5)] + [connect(7000, THERE6) for _ in range(3)] + [before]
        kept += [connect(7001) for _ in range(2)]  # the peer has closed: CLOSE-WAIT here
        for _ in range(4):
            connect(7000).close()  # FIN-WAIT-2 here
        listener = socket.create_server(("::", 7100), family=socket.AF_INET6, dualstack_ipv6=True)
        for address in (HERE, HERE, HERE6):
            peer.stdin.write(f"c {address} 7100\n")
            peer.stdin.flush()
            peer.stdout.readline()
            kept.append(listener.accept()[0])
        # a machine that answers nothing, not even who has its address: SYN-SENT for two minutes
        run("ip", "neigh", "add", SILENT, "lladdr", "02:00:00:00:00:77", "dev", "near")
        syn = socket.socket()
        syn.setblocking(False)
        syn.connect_ex((SILENT, 80))
        found = settled(proxy)
        longterm = "netstat_tcp_longterm_connections_total"
        wait_for(lambda: sum(series(proxy, longterm).values()) >= 3, "the long-lived ones")
        found |= {"longterm": series(proxy, longterm), "source": series(proxy, "netappliance_tracker_source")}
        for each in (*kept, syn):
            each.close()
        return found
    finally:
        finish(proxy)


def scene_short(count: int = 20000) -> dict[str, object]:
    """Many connections of a millisecond, then each way in which one may end."""
    proxy = tracker("source = sock_diag")
    try:
        begun = time.monotonic()
        for _ in range(count):
            with connect(7002) as made:
                made.send(b"x")
                made.recv(1)
        took = time.monotonic() - begun
        wait_for(lambda: totals(proxy).get("fin", 0) >= count, "all are seen")
        short = totals(proxy)
        reset = connect(7000)
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        reset.close()
        refused = socket.socket()
        refused.setblocking(False)
        refused.connect_ex((THERE, 9))
        select.select((), (refused,), ())
        refused.close()
        silent = socket.socket()
        silent.setblocking(False)
        silent.connect_ex((SILENT, 80))
        silent.close()
        wait_for(lambda: totals(proxy).get("unanswered", 0) >= 1, "the ends are seen")
        return {
            "short": short,
            "took": took,
            "ends": totals(proxy),
            "lost": proxy.metric("tracker_socket_notices_lost_total"),
            "rtts": proxy.metric("tracker_rtt_secs_count"),
            "segments": proxy.metric("tracker_segments_total"),
        }
    finally:
        finish(proxy)


def scene_overflow(count: int = 3000) -> dict[str, object]:
    """More notices than the buffer holds, while the appliance is stopped; then all is right again."""
    proxy = tracker("source = sock_diag\nreceive_buffer = 64KiB")
    try:
        kept = [connect(7000) for _ in range(5)]
        wait_for(lambda: by_host(proxy).get(f"open {THERE}:7000") == 5, "five connections")
        proxy.process.send_signal(signal.SIGSTOP)
        for _ in range(count):
            with connect(7002) as made:
                made.send(b"x")
                made.recv(1)
        kept.pop().close()
        wait_for(lambda: dropped() > 1000, "notices are lost")  # a busy kernel sends them later
        proxy.process.send_signal(signal.SIGCONT)
        found = settled(proxy)

        def right() -> bool:
            lost, numbers = proxy.metric("tracker_socket_notices_lost_total"), totals(proxy)
            found.update(totals=numbers, lost=lost, count=count)
            living = 2 * numbers["opened"] - sum(numbers.values())
            return living == len(kept) and numbers["fin"] + lost >= count

        wait_for(right, "the counters are right again")
        for each in kept:
            each.close()
        return found
    finally:
        proxy.process.send_signal(signal.SIGCONT)
        finish(proxy)


def scene_tracking(peer: subprocess.Popen[str]) -> dict[str, object]:
    """A ruleset makes the kernel track connections while the appliance runs; then age by the kernel's time stamps."""
    assert peer.stdin is not None and peer.stdout is not None
    run("sysctl", "-qw", "net.netfilter.nf_conntrack_timestamp=1")
    proxy = tracker("source = auto\nignore =")
    found: dict[str, object] = {"first": series(proxy, "netappliance_tracker_source")}
    try:
        kept = [connect(7000) for _ in range(3)]
        wait_for(lambda: by_host(proxy).get(f"open {THERE}:7000") == 3, "three connections")
        before = {**totals(proxy), "notices": int(proxy.metric("tracker_events_total"))}
        chain = "add table inet t; add chain inet t c { type filter hook input priority 0; }"
        run("nft", f"{chain}; add rule inet t c ct state new")
        kept += [connect(7000) for _ in range(2)]
        for each in kept:
            each.send(b"x")
        wait_for(lambda: 'source="conntrack"' in "".join(series(proxy, "netappliance_tracker_source")), "conntrack")
        wait_for(lambda: by_host(proxy).get(f"open {THERE}:7000") == 5, "five connections")
        after = {**totals(proxy), "notices": int(proxy.metric("tracker_events_total"))}
        found["counters"] = [before, after]
        listener = socket.create_server((HERE, 7100))
        peer.stdin.write(f"c {HERE} 7100\n")
        peer.stdin.flush()
        peer.stdout.readline()
        kept.append(listener.accept()[0])
        made = time.monotonic()
    finally:
        finish(proxy)
    while time.monotonic() - made < LONG_S:
        kept[-1].send(b"not silent")
        time.sleep(0.05)
    begun = time.monotonic()
    proxy = Proxy(f"[tracker]\nlongterm_duration = {LONG_S}s\n").wait_ready()
    try:
        kept[-1].send(b"not silent")
        wait_for(lambda: bool(series(proxy, "netstat_tcp_longterm_connections_total")), "the long-lived one")
        found["waited"] = time.monotonic() - begun
        found["longterm"] = series(proxy, "netstat_tcp_longterm_connections_total")
        for each in (*kept, listener):
            each.close()
        return found
    finally:
        finish(proxy)


def scene_rights() -> dict[str, object]:
    """Without any capability the tracker starts, says what it lacks, and serves what it can."""
    proxy = tracker("", ("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    try:
        kept = [connect(7000) for _ in range(3)]
        wait_for(lambda: by_host(proxy).get(f"open {THERE}:7000") == 3, "three connections")
        with connect(7002) as made:
            made.send(b"x")
            made.recv(1)
        wait_for(lambda: totals(proxy).get("fin") == 1, "the short one")
        found: dict[str, object] = {
            "source": series(proxy, "netappliance_tracker_source"),
            "log": proxy.log(),
            "totals": totals(proxy),
        }
        for each in kept:
            each.close()
        return found
    finally:
        finish(proxy)


def ask(proxy: Proxy, method: str, path: str, token: str = "") -> tuple[int, dict[str, object]]:
    """Ask the runtime API: status and decoded answer."""
    request = Request(f"http://127.0.0.1:{proxy.admin_port}/api/v1/connections{path}", method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, {"why": error.read().decode()}


def scene_query(source: str) -> dict[str, object]:
    """List connections, find a proxy's own session among them, and end one of many."""
    port = free_ports(1)[0]
    folder = Path(tempfile.mkdtemp(prefix="tracker-query-"))
    token = folder / "token"
    token.write_text("0123456789abcdef0123\n")
    token.chmod(0o600)
    proxy = Proxy(
        f"[admin]\nlisten = tcp:9901:interface=127.0.0.1\ntoken_file = {token}\n"
        f"[tracker]\nsource = {source}\nenable = {'yes' if source == 'conntrack' else 'no'}\nignore = 127.0.0.1:9\n"
        f"groups = peer = 10.9.0.0/24:7000\n"
        f"[cluster c]\nbackends = {THERE}:7000\n[tcp t]\nlisten = tcp:{port}:interface=127.0.0.1\ncluster = c\n"
    ).wait_ready()
    try:
        kept = [connect(7000) for _ in range(3)]
        through = socket.create_connection(("127.0.0.1", port), timeout=10)
        wait_for(lambda: ask(proxy, "GET", "?group=peer&state=open")[1]["matched"] == 4, "four connections")
        listed = ask(proxy, "GET", "?group=peer&state=open&limit=2&port=7000&address=10.9.0.0/24&min_age=0s")[1]
        everything = ask(proxy, "GET", "?state=open")[1]["connections"]
        assert isinstance(everything, list)
        mine = f"{HERE}:{kept[1].getsockname()[1]}"
        wanted = next(each for each in everything if each["from"] == mine)
        answers = [
            ask(proxy, "DELETE", f"/{wanted['id']}")[0],
            ask(proxy, "DELETE", f"/{wanted['id']}", "0123456789abcdef0124")[0],
            ask(proxy, "POST", f"/{wanted['id']}", token.read_text().strip())[0],
            ask(proxy, "GET", "?colour=red")[0],
        ]
        done = ask(proxy, "DELETE", f"/{wanted['id']}", token.read_text().strip())
        kept[1].settimeout(5)
        try:
            ended = repr(kept[1].recv(1))
        except OSError as problem:
            ended = type(problem).__name__
        again = ask(proxy, "DELETE", f"/{wanted['id']}", token.read_text().strip())[0]
        kept[0].send(b"still there")
        wait_for(lambda: ask(proxy, "GET", "?group=peer&state=open")[1]["matched"] == 3, "three left")
        kept[1].close()
        wait_for(lambda: totals(proxy).get("killed", 0) == 1 or source != "sock_diag", "the end is counted")
        sessions = [each["to"] for each in everything if each["session"] is not None]
        audited = [line for line in proxy.log().splitlines() if "ended the connection" in line]
        for each in (*kept, through):
            each.close()
        return {
            "listed": listed, "answers": answers, "done": done, "ended": ended, "again": again, "audit": audited,
            "sessions": sorted(sessions), "port": port, "wanted": wanted, "killed": totals(proxy).get("killed", 0),
        }  # fmt: skip
    finally:
        shutil.rmtree(folder)
        finish(proxy)


def scene_cgroups() -> dict[str, object]:
    """A client in a control group of its own, in a hierarchy that is mounted for the purpose."""
    root = Path(tempfile.mkdtemp(prefix="tracker-cgroup-"))
    run("mount", "-t", "cgroup2", "none", str(root))
    group = root / f"tracker-test-{os.getpid()}" / "client.service"
    group.mkdir(parents=True)
    proxy = tracker(f"source = sock_diag\nmax_cgroups = 5\ncgroup_root = {root}")
    code = (
        "import socket, sys, time\nopen(sys.argv[1], 'w').write('0')\n"
        f"made = socket.create_connection(('{THERE}', 7000))\nmade.sendall(b'x' * 5000)\ntime.sleep(60)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", code, str(group / "cgroup.procs")])
    path = f"/{group.relative_to(root)}"
    try:
        wait_for(lambda: proxy.metric("tracker_cgroup_sent_bytes_total", cgroup=path) == 5000, "its traffic")
        listed = ask(proxy, "GET", "?state=open&port=7000")[1]["connections"]
        assert isinstance(listed, list)
        return {
            "path": path,
            "open": proxy.metric("tracker_cgroup_connections", cgroup=path),
            "listed": [each["socket"]["cgroup"] for each in listed],
        }
    finally:
        client.kill()
        client.wait()
        finish(proxy)
        for each in (group, group.parent):
            each.rmdir()
        run("umount", str(root))
        root.rmdir()


def scene_namespaces(peer: subprocess.Popen[str]) -> dict[str, object]:
    """Look into the peer's namespace by a name, lose it, and find another one under that name."""
    folder = Path("/run/netns")
    folder.mkdir(exist_ok=True)
    name = f"tracker-test-{os.getpid()}"
    path = folder / name
    run("touch", str(path))
    run("mount", "--bind", f"/proc/{peer.pid}/ns/net", str(path))
    proxy = tracker(f"source = sock_diag\nnamespaces = {name}, tracker-test-none")
    found: dict[str, object] = {}

    def value(metric: str, **labels: str) -> float:
        return proxy.metric(f"tracker_namespace_{metric}", namespace=name, **labels)

    try:
        kept = [connect(7000) for _ in range(3)]
        wait_for(lambda: value("connections", state="open") == 3, "three connections in there")
        with connect(7002) as made:
            made.send(b"x")
            made.recv(1)
        wait_for(lambda: value("closed_total", how="fin") >= 1, "the short one")
        host = f'conntrack_open_connections{{host="{name}/{HERE}"}}'
        found["host"] = f"{host} 3.0" in proxy.get("/metrics")[1]
        listed = ask(proxy, "GET", f"?namespace={name}&state=open")[1]["connections"]
        assert isinstance(listed, list)
        found["directions"] = [each["direction"] for each in listed]
        found["ended"] = ask(proxy, "DELETE", f"/{listed[0]['id']}?namespace={name}")[1]["done"]
        found["unknown"] = ask(proxy, "GET", "?namespace=nobody")[0]
        opened = value("opened_total")
        run("umount", str(path))
        path.unlink()
        wait_for(lambda: value("up") == 0, "it is gone")
        found["gone"] = [value("connections"), value("opened_total") == opened]
        run("touch", str(path))
        run("mount", "--bind", "/proc/self/ns/net", str(path))
        wait_for(lambda: value("up") == 1, "another one")
        found["back"] = value("opened_total") >= opened
        found["up"] = [value("up"), proxy.metric("tracker_namespace_up", namespace="tracker-test-none")]
        found["log"] = proxy.log()
        for each in kept:
            each.close()
        return found
    finally:
        subprocess.run(["umount", str(path)], check=False, capture_output=True)
        path.unlink(missing_ok=True)
        finish(proxy)


def finish(proxy: Proxy) -> None:
    """Stop the appliance; it must end well."""
    try:
        if proxy.stop() or "Traceback" in proxy.log():
            raise SystemExit(proxy.log())
    finally:
        proxy.destroy()


def main(scene: str) -> None:
    """Run one scene."""
    with peer_namespace() as peer:
        scenes: dict[str, Callable[[], dict[str, object]]] = {
            "sock_diag": lambda: scene_states(peer, "sock_diag"),
            "proc": lambda: scene_states(peer, "proc"),
            "short": scene_short,
            "overflow": scene_overflow,
            "rights": scene_rights,
            "tracking": lambda: scene_tracking(peer),
            "cgroups": scene_cgroups,
            "namespaces": lambda: scene_namespaces(peer),
            "query": lambda: scene_query("sock_diag"),
            "tracked": lambda: scene_query("conntrack"),
        }
        found = scenes[scene]()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
