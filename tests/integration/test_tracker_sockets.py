"""The tracker on sockets, in a network namespace with real traffic, against ``ss``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.sockets_in_namespace import LONG_S

ROOT = Path(__file__).parents[2]
PROGRAMS = ("unshare", "nsenter", "ip", "ss", "setpriv", "nft", "sysctl", "mount")


def scene(name: str) -> Any:
    """Run a scene of sockets_in_namespace in a namespace of its own; skip where that is not possible."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.geteuid():
        raise SkipTest(f"needs root and {', '.join(missing) or 'nothing else'}")
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "tests.integration.sockets_in_namespace", name]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        if "unshare failed" in done.stderr:
            raise SkipTest("no right to make a network namespace")
        raise AssertionError(done.stdout + done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


class SocketTrackerTests(SynchronousTestCase):
    """One appliance for each scene."""

    def test_states_by_host_equal_those_of_ss(self) -> None:
        """In and out, IPv4 and IPv6, opening to closing; long-lived ones by listening port and version of IP."""
        found = scene("sock_diag")
        self.assertEqual(found["seen"], found["ss"])
        self.assertGreaterEqual(len(found["ss"]), 8)
        self.assertEqual(
            found["longterm"], {'{port="7100",tcp_version="4"}': 2.0, '{port="7100",tcp_version="6"}': 1.0}
        )

    def test_proc_gives_the_same_states(self) -> None:
        """The last resort."""
        found = scene("proc")
        self.assertEqual(found["seen"], found["ss"])
        self.assertEqual(found["source"], {'{reason="asked",source="proc"}': 1.0})

    def test_every_short_connection_is_counted_with_how_it_ended(self) -> None:
        """20 000 of a millisecond each, then a reset, a refused and an unanswered one."""
        found = scene("short")
        self.assertEqual((found["short"], found["lost"]), ({"opened": 20000, "fin": 20000}, 0))
        self.assertEqual(found["ends"], {"opened": 20003, "fin": 20000, "rst": 1, "refused": 1, "unanswered": 1})
        self.assertGreaterEqual(found["rtts"], 20000)
        self.assertGreaterEqual(found["segments"], 60000)

    def test_without_rights_it_says_what_it_lacks_and_serves_what_it_can(self) -> None:
        """No capability at all."""
        found = scene("rights")
        self.assertEqual(found["source"], {'{reason="no_rights",source="sock_diag"}': 1.0})
        self.assertIn("conntrack: Operation not permitted", found["log"])
        self.assertIn("TCP sockets of this host only", found["log"])
        self.assertEqual(found["totals"], {"opened": 4, "fin": 1})

    def check_query(self, found: Any, ended: str) -> None:
        """Hold the answers of the runtime API to what was asked."""
        self.assertEqual((found["listed"]["matched"], len(found["listed"]["connections"])), (4, 2))
        for each in found["listed"]["connections"]:
            self.assertEqual((each["to"], each["group"], each["direction"]), ("10.9.0.2:7000", "peer", "out"))
        self.assertEqual(found["answers"], [401, 401, 405, 400])
        self.assertEqual(found["done"], [200, {"id": found["wanted"]["id"], "done": ended}])
        self.assertEqual((found["ended"], found["again"], found["killed"]), ("ConnectionAbortedError", 404, 1))
        self.assertEqual(len(found["audit"]), 1)
        self.assertIn(found["wanted"]["from"], found["audit"][0])
        self.assertEqual(found["sessions"], ["10.9.0.2:7000", f"127.0.0.1:{found['port']}"])

    def test_connections_are_listed_and_one_is_ended(self) -> None:
        """By its socket; with the token only, once, written down; both ends of a proxy's session name it."""
        found = scene("query")
        self.check_query(found, "socket destroyed")
        self.assertGreater(found["wanted"]["socket"]["rtt_ms"], 0)

    def test_a_tracked_connection_is_ended_by_its_tuple(self) -> None:
        """The kernel forgets that entry and no other, and the socket goes with it."""
        self.check_query(scene("tracked"), "entry deleted, socket destroyed")

    def test_other_namespaces_are_read_and_may_vanish(self) -> None:
        """Their hosts behind their name; a vanished one is a gauge and a line in the log, and may come back."""
        found = scene("namespaces")
        self.assertTrue(found["host"])
        self.assertEqual((found["directions"], found["ended"]), (["in"] * 3, "socket destroyed"))
        self.assertEqual((found["unknown"], found["gone"], found["back"], found["up"]), (404, [0, True], True, [1, 0]))
        self.assertIn("has vanished", found["log"])
        self.assertIn("there is no namespace tracker-test-none", found["log"])

    def test_traffic_is_told_by_control_group(self) -> None:
        """Under the path of the group's directory, in the metrics and in the list."""
        found = scene("cgroups")
        self.assertEqual((found["open"], found["listed"]), (1, [found["path"]]))

    def test_lost_notices_are_counted_exactly_and_the_gauges_recover(self) -> None:
        """What was told and what was lost add up; then opened less ended is what lives, and ss has the same."""
        found = scene("overflow")
        self.assertGreater(found["lost"], 1000)
        # two more for each scrape, whose sockets are sockets too
        told = found["totals"]["fin"] + found["lost"]
        self.assertTrue(found["count"] <= told <= found["count"] + 20, str(found))
        self.assertEqual(found["seen"], found["ss"])

    def test_conntrack_is_taken_as_soon_as_the_kernel_tracks(self) -> None:
        """Counters go on where they were; and its time stamps tell the age of what was there before us."""
        found = scene("tracking")
        self.assertEqual(found["first"], {'{reason="not_tracking",source="sock_diag"}': 1.0})
        before, after = found["counters"]
        self.assertEqual([name for name, count in before.items() if after[name] < count], [])
        self.assertEqual(found["longterm"], {'{port="7100",tcp_version="4"}': 1.0})
        self.assertLess(found["waited"], LONG_S)
