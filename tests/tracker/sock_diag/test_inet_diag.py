"""The sock_diag codec and the reader of /proc/net/tcp."""

from __future__ import annotations

import socket
import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.counting.hosts import Hosts
from netappliance.tracker.counting.places import Places
from netappliance.tracker.counting.totals import FIN
from netappliance.tracker.sock_diag import inet_diag, proc_tcp
from netappliance.tracker.sock_diag.inet_diag import DESTROYED, ESTABLISHED, LISTEN, NO_RTT, TIME_WAIT
from netappliance.tracker.sock_diag.quality import Qualities
from netappliance.tracker.sock_diag.socket_entry import SocketEntry
from netappliance.tracker.sock_diag.socket_table import SocketTable, how_ended, opened_here, was_connection
from tests.tracker.sock_diag.recorded import DUMP_IPV4, DUMP_IPV6, NOTICES

LOCAL, REMOTE = socket.inet_aton("10.0.0.1"), socket.inet_aton("192.0.2.7")


def attribute(kind: int, body: bytes) -> bytes:
    """Return one netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def info_bytes(
    rtt_us: int = 20, acked: int = 0, sent: int = 0, retransmits: int = 0, segments: tuple[int, int] = (5, 5),
    min_rtt_us: int = 9, silent_ms: int = 0, total_retransmits: int = 0,
) -> bytes:  # fmt: skip
    """Return a struct tcp_info of 248 bytes."""
    data = bytearray(248)
    data[2] = retransmits
    for offset, code, value in (
        (44, "I", silent_ms), (68, "I", rtt_us), (100, "I", total_retransmits), (120, "Q", acked),
        (136, "I", segments[0]), (140, "I", segments[1]), (148, "I", min_rtt_us), (200, "Q", sent),
    ):  # fmt: skip
        struct.pack_into("=" + code, data, offset, value)
    return bytes(data)


def message(
    state: int = ESTABLISHED, cookie: int = 7, *, source: bytes = LOCAL, destination: bytes = REMOTE,
    ports: tuple[int, int] = (40000, 443), info: bytes | None = b"", cgroup: int = 0, family: int = 2, inode: int = 99,
    send_queue: int = 0,
) -> bytes:  # fmt: skip
    """Return a whole message; ``info`` empty is a plausible one, None leaves it out."""
    body = struct.pack("=BBBB", family, state, 0, 0) + struct.pack(">HH", *ports)
    body += source.ljust(16, b"\0") + destination.ljust(16, b"\0")
    body += struct.pack("=IQIIIII", 0, cookie, 0, 0, send_queue, 1000, inode)
    if info is not None:
        body += attribute(2, info or info_bytes())
    if cgroup:
        body += attribute(21, struct.pack("=Q", cgroup))
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)


class DecodeTests(SynchronousTestCase):
    """Bytes in, values out."""

    def test_fields_are_read(self) -> None:
        """Addresses, ports, cookie, owner, cgroup and TCP_INFO come out."""
        found = inet_diag.decode(message(cgroup=4711, info=info_bytes(sent=1000, acked=1002))).sockets[0]
        self.assertEqual((found.source, found.destination), (LOCAL, REMOTE))
        self.assertEqual((found.source_port, found.destination_port, found.cookie), (40000, 443, 7))
        self.assertEqual((found.uid, found.inode, found.cgroup, found.state), (1000, 99, 4711, ESTABLISHED))
        assert found.info is not None
        self.assertEqual((found.info.sent, found.info.acked, found.info.rtt_us), (1000, 1002, 20))
        self.assertEqual((found.info.segments_out, found.info.min_rtt_us), (5, 9))

    def test_records_without_tcp_info_are_sockets_too(self) -> None:
        """TIME_WAIT comes as a minimal record."""
        found = inet_diag.decode(message(TIME_WAIT, info=None)).sockets[0]
        self.assertEqual((found.state, found.info), (TIME_WAIT, None))

    def test_mapped_addresses_are_the_ipv4_ones_that_they_mean(self) -> None:
        """A dual-stack server's IPv4 client is an IPv4 client; the socket stays an IPv6 one."""
        mapped = bytes(10) + b"\xff\xff"
        data = message(family=10, source=mapped + LOCAL, destination=mapped + REMOTE)
        found = inet_diag.decode(data).sockets[0]
        self.assertEqual((found.family, found.source, found.destination), (10, LOCAL, REMOTE))

    def test_an_older_kernels_short_tcp_info_is_read(self) -> None:
        """Fields that it lacks are 0; one that is too short for any kernel is none."""
        found = inet_diag.decode(message(info=info_bytes()[:104])).sockets[0]
        assert found.info is not None
        self.assertEqual((found.info.rtt_us, found.info.sent), (20, 0))
        self.assertIsNone(inet_diag.decode(message(info=bytes(60))).sockets[0].info)

    def test_a_newer_kernels_longer_tcp_info_is_read(self) -> None:
        """What follows the known fields is left alone."""
        found = inet_diag.decode(message(info=info_bytes(sent=5) + b"\xff" * 64)).sockets[0]
        assert found.info is not None
        self.assertEqual(found.info.sent, 5)

    def test_the_end_of_a_dump_and_its_refusal(self) -> None:
        """DONE ends it; an error is one, with its errno."""
        batch = inet_diag.decode(message() + message(cookie=8) + DONE)
        self.assertEqual((len(batch.sockets), batch.done, batch.errno), (2, True, 0))
        refusal = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -1) + bytes(16)
        self.assertEqual(inet_diag.decode(refusal)[1:], (True, 1, 0))

    def test_a_damaged_message_is_counted_and_the_rest_is_read(self) -> None:
        """An attribute that reaches beyond its message is garbage; the message after it is not."""
        broken = bytearray(message())
        struct.pack_into("=H", broken, 16 + 72, 0x7FFF)
        batch = inet_diag.decode(bytes(broken) + message(cookie=9))
        self.assertEqual(([each.cookie for each in batch.sockets], batch.malformed), ([9], 1))

    @settings(deadline=None, max_examples=200)
    @given(st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
    def test_garbage_raises_nothing(self, noise: bytes, damage: list[tuple[int, int]]) -> None:
        """Neither noise, nor real messages with bytes changed or cut off, raise."""
        for whole in (message(), message(LISTEN, ports=(80, 0)), DONE, message(TIME_WAIT, info=None)):
            broken = bytearray(whole)
            for where, byte in damage:
                broken[where % len(broken)] = byte
            cut = damage[0][0] % len(whole) if damage else 7
            for data in (noise, bytes(broken), whole[:cut], bytes(broken) + noise):
                for kind in (inet_diag.DUMPED, DESTROYED):
                    batch = inet_diag.decode(data, kind)
                    self.assertLessEqual(len(batch.sockets), len(data) // 88 + 1)

    def test_round_trip_times_that_were_never_measured_are_marked(self) -> None:
        """The kernel gives all ones."""
        found = inet_diag.decode(message(info=info_bytes(min_rtt_us=NO_RTT))).sockets[0]
        assert found.info is not None
        self.assertEqual(found.info.min_rtt_us, NO_RTT)


class RecordedTests(SynchronousTestCase):
    """What a kernel really sent."""

    def test_dumps(self) -> None:
        """The accepted end of an IPv4 connection is a v4-mapped IPv6 socket."""
        client, over = inet_diag.decode(DUMP_IPV4).sockets
        self.assertEqual(
            (client.state, client.destination_port, over.state, over.info), (ESTABLISHED, 8080, TIME_WAIT, None)
        )
        assert client.info is not None
        self.assertEqual((client.info.sent, client.info.acked, client.info.received), (1000, 1001, 10))
        batch = inet_diag.decode(DUMP_IPV6)
        listening, six, mapped, opener = batch.sockets
        self.assertEqual((batch.done, batch.errno, batch.malformed), (True, 0, 0))
        self.assertEqual((listening.state, listening.source_port), (LISTEN, 8080))
        self.assertEqual(
            (mapped.family, mapped.source, mapped.destination_port), (10, b"\x7f\0\0\1", client.source_port)
        )
        self.assertEqual((six.source, six.destination_port), (opener.destination, opener.source_port))
        self.assertEqual([opened_here(each) for each in (client, mapped, six, opener)], [True, False, False, True])

    def test_notices(self) -> None:
        """Which of them was a connection, and how it ended at either end."""
        bare, client, server = inet_diag.decode(NOTICES, DESTROYED).sockets
        self.assertEqual([was_connection(each) for each in (bare, client, server)], [False, True, True])
        self.assertEqual((how_ended(client, outbound=True), how_ended(server, outbound=False)), (FIN, FIN))
        self.assertEqual((opened_here(client), opened_here(server)), (True, False))

    @settings(deadline=None, max_examples=200)
    @given(
        st.sampled_from([DUMP_IPV4, DUMP_IPV6, NOTICES]),
        st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
        st.integers(0, 2000),
    )
    def test_mutations_raise_nothing(self, real: bytes, damage: list[tuple[int, int]], cut: int) -> None:
        """Bytes changed, the end cut off: the decoder and the table go on."""
        broken = bytearray(real)
        for where, byte in damage:
            broken[where % len(broken)] = byte
        table = SocketTable(Places(Hosts(2, 60), (), ()), Qualities(), notices=True)
        for data in (bytes(broken), bytes(broken[: cut % len(broken)])):
            table.begin_dump()
            for found in inet_diag.decode(data).sockets:
                table.dumped(found, 1.0)
            table.end_dump(1.0)
            for found in inet_diag.decode(data, DESTROYED).sockets:
                table.destroyed(found, 2.0)
            shown = sum(sum(host.gauges[:4]) for host in table.places.hosts.series())
            self.assertEqual(shown, len(alive(table)))


def alive(table: SocketTable) -> list[SocketEntry]:
    """Return what has a gauge."""
    return [entry for entry in table.entries.values() if entry.place is not None and 0 <= entry.gauge < 4]


class RequestTests(SynchronousTestCase):
    """Values in, bytes out."""

    def test_a_dump_asks_for_family_states_and_tcp_info(self) -> None:
        """The kernel's struct inet_diag_req_v2, 56 bytes behind the header."""
        request = inet_diag.dump_request(5, 10, 1 << ESTABLISHED)
        self.assertEqual(len(request), 72)
        self.assertEqual(struct.unpack_from("=IHHII", request), (72, 20, 0x301, 5, 0))
        self.assertEqual(struct.unpack_from("=BBBBI", request, 16), (10, 6, 2, 0, 2))
        self.assertEqual(inet_diag.dump_request(5, 2, info=False)[18], 0)

    def test_an_end_names_exactly_one_socket(self) -> None:
        """By its ends and its cookie; a v4-mapped one the way the kernel has it."""
        found = inet_diag.decode(message(cookie=0x1122334455667788)).sockets[0]
        request = inet_diag.destroy_request(3, found)
        self.assertEqual(struct.unpack_from("=IHHII", request), (72, 21, 0x5, 3, 0))
        self.assertEqual(request[24:28], struct.pack(">HH", 40000, 443))
        self.assertEqual(request[28:32] + request[44:48], LOCAL + REMOTE)
        self.assertEqual(struct.unpack_from("=Q", request, 64), (0x1122334455667788,))
        mapped = inet_diag.destroy_request(3, found._replace(family=10))
        self.assertEqual(mapped[28:44], bytes(10) + b"\xff\xff" + LOCAL)

    def test_a_socket_without_cookie_is_not_ended(self) -> None:
        """It could be another one by now."""
        found = inet_diag.decode(message()).sockets[0]
        self.assertRaises(ValueError, inet_diag.destroy_request, 1, found._replace(cookie=0))


PROC = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100
   1: 0100000A:9C40 070200C0:01BB 01 0000000A:00000002 02:000A 00000000  1000        0 777 2 00000000 20 4 30 10 -1
   2: 0100000A:9C41 070200C0:01BB 06 00000000:00000000 03:0000 00000000     0        0 0 3 0000000000000000
"""
PROC6 = (
    "   0: 0000000000000000FFFF00000100000A:0050 0000000000000000FFFF0000070200C0:D431 01 00000000:00000000 00:0 0 "
    "33 0 4242 1 0\n"
)


class ProcTests(SynchronousTestCase):
    """The last resort."""

    def test_lines_become_sockets(self) -> None:
        """Byte order, states and owner are right; the head line is none."""
        found, malformed = proc_tcp.parse(PROC.splitlines())
        self.assertEqual((malformed, [each.state for each in found]), (0, [LISTEN, ESTABLISHED, TIME_WAIT]))
        self.assertEqual((found[1].source, found[1].source_port), (LOCAL, 40000))
        self.assertEqual((found[1].destination, found[1].destination_port), (REMOTE, 443))
        self.assertEqual((found[1].uid, found[1].inode, found[1].cookie), (1000, 777, 0))
        self.assertEqual((found[1].send_queue, found[1].receive_queue), (10, 2))

    def test_mapped_addresses_are_ipv4(self) -> None:
        """As in sock_diag."""
        found, _ = proc_tcp.parse([PROC6])
        self.assertEqual((found[0].family, found[0].source, found[0].destination), (10, LOCAL, REMOTE))

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.text(max_size=200), max_size=5), st.integers(0, 600), st.characters())
    def test_garbage_raises_nothing(self, noise: list[str], where: int, character: str) -> None:
        """What is no socket is counted."""
        whole = PROC + PROC6
        damaged = whole[: where % len(whole)] + character + whole[where % len(whole) + 1 :]
        proc_tcp.parse([*noise, *damaged.split("\n")])

    def test_garbage_is_counted(self) -> None:
        """Each bad line once."""
        bad = ["   0: 0100007F:1F90 zz:0000 0A 0:0 0:0 0 0 0 1 1", "nonsense", ""]
        self.assertEqual(proc_tcp.parse(bad), ([], 2))
