"""Traffic by control group, and the walk that finds their names."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.sock_diag import inet_diag
from netappliance.tracker.sock_diag.cgroup_walk import CgroupWalk
from netappliance.tracker.sock_diag.cgroups import Cgroups
from netappliance.tracker.sock_diag.inet_diag import TcpInfo
from netappliance.tracker.sock_diag.socket_entry import SocketEntry
from tests.tracker.sock_diag.test_inet_diag import info_bytes
from tests.tracker.sock_diag.test_socket_table import record


def info(sent: int) -> TcpInfo:
    """Return a TCP_INFO with so many bytes sent."""
    found = inet_diag.tcp_info(info_bytes(sent=sent))
    assert found is not None
    return found


def entry(cgroup: int) -> SocketEntry:
    """Return an established socket of a group."""
    made = SocketEntry(record(cgroup=cgroup), None, inbound=False, exact=True, now=0.0)
    made.state = inet_diag.ESTABLISHED
    return made


class CgroupTests(SynchronousTestCase):
    """Numbers and names."""

    def setUp(self) -> None:
        """Make room for two groups."""
        self.cgroups = Cgroups(2)

    def shown(self, *entries: SocketEntry) -> dict[str, tuple[int, int]]:
        """Return path -> (connections, bytes sent)."""
        return {path: (count, traffic.sent) for path, count, traffic in self.cgroups.shown(entries)}

    def test_a_group_is_shown_under_its_path(self) -> None:
        """Not before it is known, so that no series changes its name."""
        self.cgroups.observe(7, None, info(100))
        self.cgroups.observe(7, info(100), info(150))
        self.assertEqual(self.shown(entry(7)), {"other": (0, 0)})
        self.assertTrue(self.cgroups.walk_wanted)
        self.cgroups.name(7, "/a.service")
        self.assertEqual(self.shown(entry(7), entry(7)), {"/a.service": (2, 150), "other": (0, 0)})
        self.assertFalse(self.cgroups.walk_wanted)

    def test_a_group_without_directory_is_a_number(self) -> None:
        """When a whole walk, begun after it was seen, has not found it; when its sockets are gone it makes room."""
        self.cgroups.walk = 1
        self.cgroups.observe(7, None, info(100))
        self.cgroups.end_walk({7})
        self.assertNotIn("#7", self.shown())
        self.cgroups.end_walk({7})
        self.assertEqual(self.shown(), {"#7": (0, 100), "other": (0, 0)})
        self.cgroups.end_walk(())
        self.assertEqual(self.shown(), {"other": (0, 100)})

    def test_groups_beyond_the_budget_are_other(self) -> None:
        """Until one makes room; a walk is wanted to find out."""
        for ident in (1, 2, 3):
            self.cgroups.observe(ident, None, info(10))
        self.cgroups.name(1, "/")
        self.cgroups.name(2, "/b")
        self.assertEqual(self.shown(entry(3)), {"/": (0, 10), "/b": (0, 10), "other": (1, 10)})
        self.assertTrue(self.cgroups.walk_wanted)

    def test_a_restarted_service_goes_on_under_its_path(self) -> None:
        """A new directory has a new number; the series is one and never goes down."""
        self.cgroups.observe(7, None, info(100))
        self.cgroups.name(7, "/a.service")
        self.cgroups.observe(8, None, info(5))
        self.cgroups.name(8, "/a.service")
        self.assertEqual(self.shown(), {"/a.service": (0, 105), "other": (0, 0)})

    def test_a_walk_names_what_it_finds(self) -> None:
        """By inode, over several calls; what vanishes meanwhile is no error."""
        root = Path(tempfile.mkdtemp(prefix="cgroups-"))
        self.addCleanup(shutil.rmtree, root)
        wanted = root / "system.slice" / "a.service"
        wanted.mkdir(parents=True)
        for number in range(400):
            (root / f"filler-{number}").mkdir()
        ident = wanted.stat().st_ino
        self.cgroups.observe(ident, None, info(1))
        walk = CgroupWalk(self.cgroups, str(root), lambda: {ident})
        walk.check(1.0)
        walk.check(2.0)
        self.assertEqual(self.cgroups.path(ident), "/system.slice/a.service")
        missing = CgroupWalk(self.cgroups, str(root / "missing"), set)
        self.cgroups.observe(999_999, None, info(1))
        missing.check(1.0)
        missing.check(7.0)
        missing.check(13.0)
        self.assertEqual(self.cgroups.path(999_999), "")
