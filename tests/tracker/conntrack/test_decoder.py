"""Netlink messages as values, by walk and by layout alike."""

from __future__ import annotations

import socket

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.tracker.conntrack import ctnetlink, decoder
from netappliance.tracker.conntrack.decoder import Decoder
from netappliance.tracker.conntrack.layout import Run
from tests.tracker.support import LOCAL, REMOTE, message, raw_tuple, table_of

#: a dump's entry of Linux 6.18: 10.0.0.1:10000 > 10.1.7.222:443, ESTABLISHED, with accounting
DUMPED = bytes.fromhex(
    "f000000000010200010000002f620000020000003400018014000180080001000a000001080002000a0107de1c00028005000100060000000600"
    "0200272500000600030001bb00003400028014000180080001000a0107de080002000a0000011c0002800500010006000000060002000"
    "1bb00000600030027250000080003000000000e080008000000000008000c00fc6a03ae08000b0000000001080007000001869c300004"
    "802c000180050001000300000005000200000000000500030000000000060004000000000006000500000000001c00188008000100000"
    "0000008000200000000000800030000000000"
)

messages = st.builds(
    message,
    st.sampled_from((0, 1, 2)),
    st.integers(1, 65535),
    state=st.integers(-1, 12),
    status=st.integers(0, 2**32 - 1),
    timeout=st.integers(-1, 2**31),
    ident=st.integers(0, 2**32 - 1),
    zone=st.sampled_from((0, 0, 3, 65535)),
    protocol=st.sampled_from((6, 17, 1, 132)),
    traffic=st.sampled_from((None, (1, 2**40, 3, 4))),
    times=st.sampled_from(((), (5,), (5, 6))),
)


def one_by_one(data: bytes) -> ctnetlink.Batch:
    """Decode with a decoder that knows no layout when a message comes."""
    changes: list[ctnetlink.Change] = []
    done, refused, malformed, offset = False, 0, 0, 0
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 4], "little")
        step = (length + 3) & ~3 if 16 <= length <= len(data) - offset else len(data)
        batch = Decoder().decode(data[offset : offset + max(step, 16)])
        changes += batch.changes
        done, refused, malformed = done or batch.done, refused or batch.errno, malformed + batch.malformed
        offset += max(step, 16)
    return ctnetlink.Batch(changes, done, refused, malformed)


def each_change(found: decoder.Dump) -> list[ctnetlink.Change]:
    """Return all entries of a receive of a dump."""
    return [each for run in found.runs for each in run.changes()] + found.changes


class DecodeTests(SynchronousTestCase):
    """Bytes in, values out."""

    def test_a_real_message(self) -> None:
        """What Linux sends is read, the second time by its layout."""
        reader = Decoder()
        for _ in range(2):
            batch = reader.decode(DUMPED)
            found = batch.changes[0]
            self.assertEqual((batch.malformed, found.kind, found.state, found.status), (0, ctnetlink.UPDATE, 3, 14))
            self.assertEqual((found.timeout, found.ident, found.mark), (99996, 0xFC6A03AE, 0))
            self.assertEqual(ctnetlink.ends(found.orig), (LOCAL, socket.inet_aton("10.1.7.222"), 6, 10021, 443))

    def test_attributes_are_read(self) -> None:
        """All that a message can say comes out."""
        raw = message(
            ctnetlink.DESTROY, state=7, timeout=99, ident=5, zone=9, traffic=(1, 2, 3, 4), times=(10**18, 10**18 + 5)
        )
        found = Decoder().decode(raw).changes[0]
        self.assertEqual((found.kind, found.state, found.status, found.timeout, found.ident), (2, 7, 2, 99, 5))
        self.assertEqual((found.zone, *found[9:13], found.stop_ns - found.start_ns), (9, 1, 2, 3, 4, 5))
        self.assertEqual((found.mark, found.event_ns), (-1, -1))

    def test_several_messages_of_one_receive(self) -> None:
        """All come, and the end of a dump is seen; an error has its number."""
        end = ctnetlink.HEADER.pack(20, ctnetlink.NLMSG_DONE, 2, 1, 0) + bytes(4)
        batch = Decoder().decode(message(0) + message(1, 40001) + end)
        self.assertEqual((len(batch.changes), batch.done, batch.errno), (2, True, 0))
        refused = ctnetlink.HEADER.pack(36, ctnetlink.NLMSG_ERROR, 0, 1, 0) + b"\xf0\xff\xff\xff" + bytes(16)
        self.assertEqual(Decoder().decode(refused).errno, 16)
        failed = ctnetlink.HEADER.pack(20, ctnetlink.NLMSG_DONE, 2, 1, 0) + b"\xf4\xff\xff\xff"
        self.assertEqual(Decoder().decode(failed).errno, 12)

    def test_what_follows_the_last_message(self) -> None:
        """Fewer bytes than a header are garbage, none are not."""
        for more, malformed in ((0, 0), (1, 1), (15, 1), (16, 1)):
            data = message(0) + bytes(more)
            self.assertEqual(Decoder().decode(data)[3], malformed)
            self.assertEqual(Decoder().dump(data).malformed, malformed)

    def test_plain_entries(self) -> None:
        """Of port protocols over either family, with no more than a table's columns hold; there the rest is walked."""
        wide = socket.inet_pton(socket.AF_INET6, "2001:db8::1"), socket.inet_pton(socket.AF_INET6, "2001:db8::2")
        six = {"source": wide[0], "destination": wide[1]}
        for plain, more in (
            (True, {"state": 3}),
            (True, {"state": 3, "timeout": 9}),
            (True, {"state": 3, **six}),
            (True, {"protocol": 17}),
            (True, {"protocol": 17, **six}),
            (True, {"protocol": 132, "status": 0xFFFFFFCF}),
            (False, {"state": 3, "status": 0x10}),
            (False, {"state": 3, "status": 0x20}),
            (False, {"state": 3, "zone": 1}),
            (False, {"state": 3, "traffic": (0, 0, 0, 0)}),
            (False, {"state": 3, "times": (5,)}),
            (False, {"state": 3, "protocol": 17}),
            (False, {"protocol": 6}),
            (False, {"protocol": 1}),
        ):
            reader = Decoder()
            raw = [message(1, port, **more) for port in range(9)]
            reader.decode(raw[0])
            (run,) = reader.dump(b"".join(raw)).runs
            self.assertEqual((len(run), run.is_plain()), (9, plain), more)

    @settings(deadline=None, max_examples=100)
    @given(st.lists(messages, min_size=1, max_size=12))
    def test_a_layout_gives_what_a_walk_gives(self, given_: list[bytes]) -> None:
        """One decoder for all messages, and a new one for each, agree."""
        reader = Decoder()
        once = [Decoder().decode(each).changes for each in given_]
        for _ in range(2):
            self.assertEqual([reader.decode(each).changes for each in given_], once)
        for raw, known in zip(given_, once, strict=True):
            single = reader.single(raw)
            self.assertTrue(single is None or [single] == known)
            self.assertIsNone(reader.single(raw + b"\0"))
        together = [each for changes in once for each in changes]
        self.assertEqual(reader.decode(b"".join(given_)).changes, together)

    @settings(deadline=None, max_examples=60)
    @given(st.lists(messages, min_size=1, max_size=3), st.integers(1, 60), st.binary(max_size=4), st.integers(0, 9999))
    def test_runs_give_what_single_messages_give(self, few: list[bytes], count: int, tail: bytes, damage: int) -> None:
        """Equal layouts of a dump are compared together; one damaged byte among them is found."""
        data = bytearray(b"".join(few[number % len(few) if number % 7 == 0 else 0] for number in range(count)) + tail)
        for damaged in (False, True):
            data[damage % len(data)] ^= 4 if damaged else 0
            reader = Decoder()
            for each in few:
                reader.decode(each)
            found, wanted = reader.dump(bytes(data)), one_by_one(bytes(data))
            self.assertEqual(found[2:], wanted[1:])
            self.assertEqual(sorted(each_change(found)), sorted(wanted.changes))
            for run in found.runs:
                self.check_columns(run)

    def check_columns(self, run: Run) -> None:
        """Columns are those of the entries."""
        changes = run.changes()
        self.assertEqual((len(run), run.origs()), (len(changes), [each.orig for each in changes]))
        if not run.is_plain():
            return
        self.assertEqual({each.zone for each in changes}, {0})
        self.assertFalse(any(each.status & ctnetlink.TRANSLATED for each in changes))
        for way, each in zip(run.ways(), changes, strict=True):
            ends = ctnetlink.ends(each.orig)
            assert ends is not None
            port = ends.destination_port.to_bytes(2, "big")
            self.assertEqual(way, ends.source + ends.destination + port + bytes((ends.protocol,)))
        self.assertEqual(list(run.numbers("status")), [each.status for each in changes])
        self.assertEqual(list(run.numbers("ident")), [each.ident for each in changes])
        self.assertEqual(list(run.low_status()), [each.status & 255 for each in changes])
        if run.has_states:
            self.assertEqual(list(run.states()), [each.state for each in changes])
        chosen = bytes(each.ident & 1 for each in changes)
        even, odd = run.split(chosen)
        self.assertEqual(even.changes(), [each for each in changes if not each.ident & 1])
        self.assertEqual(odd.changes(), [each for each in changes if each.ident & 1])

    @settings(deadline=None, max_examples=200)
    @given(
        st.binary(max_size=300),
        st.sampled_from((DUMPED, message(0, state=3), message(2, state=7, traffic=(1, 2, 3, 4), times=(5, 6)))),
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6),
    )
    @example(b"", DUMPED, [(20, 4)])
    def test_garbage_raises_nothing(self, noise: bytes, good: bytes, damage: list[tuple[int, int]]) -> None:
        """Neither noise nor a damaged good message raises, layouts agree with walks, the table takes what is left."""
        bad = bytearray(good)
        for where, byte in damage:
            bad[where % len(bad)] = byte
        reader, table = Decoder(), table_of()
        reader.decode(good)
        for data in (noise, bytes(bad), bytes(bad[: damage[0][0]]), bytes(bad) + noise, good):
            single = reader.single(data)
            batch = reader.decode(data)
            self.assertTrue(single is None or batch == ([single], False, 0, 0))
            self.assertEqual(batch, Decoder().decode(data))
            found = reader.dump(data)
            self.assertEqual((sorted(each_change(found)), *found[2:]), (sorted(batch.changes), *batch[1:]))
            for each in batch.changes:
                table.event(each, 1.0)
            table.begin_dump()
            table.dumped(found.changes, 1.0)
            for run in found.runs:
                table.dumped_run(run, 1.0)
            while table.sweep(1.0, 10):
                pass
            list(table.connections())

    def test_layouts_are_limited(self) -> None:
        """A kernel that never repeats itself costs time and no memory."""
        self.patch(decoder, "MAX_LAYOUTS", 2)
        reader = Decoder()
        for port in range(5):
            raw = message(0, port, status=port) + bytes(0)
            longer = raw + b"\x08\x00" + bytes((200 + port, 0)) + bytes(4)
            data = len(longer).to_bytes(4, "little") + longer[4:]
            self.assertEqual(reader.decode(data).changes[0].status, port)
        self.assertEqual(sum(map(len, reader._layouts.values())), 2)


class EndsTests(SynchronousTestCase):
    """Raw tuples."""

    def test_the_inverse_of_a_tuple(self) -> None:
        """Addresses and ports change places, for both families."""
        wide = socket.inet_pton(socket.AF_INET6, "2001:db8::1"), socket.inet_pton(socket.AF_INET6, "2001:db8::2")
        for source, destination in ((LOCAL, REMOTE), wide):
            there, back = raw_tuple(source, destination, 1000, 443), raw_tuple(destination, source, 443, 1000)
            self.assertEqual(ctnetlink.inverse(there), back)

    def test_tuples_that_are_cut(self) -> None:
        """A protocol number is the least; then ports are 0."""
        wide = socket.inet_pton(socket.AF_INET6, "2001:db8::1"), socket.inet_pton(socket.AF_INET6, "2001:db8::2")
        for source, destination, least in ((LOCAL, REMOTE, 32), (*wide, 56)):
            raw = raw_tuple(source, destination, 1000, 443)
            self.assertEqual(ctnetlink.ends(raw), (source, destination, 6, 1000, 443))
            self.assertEqual(ctnetlink.ends(raw[:least]), (source, destination, 6, 0, 0))
            self.assertIsNone(ctnetlink.ends(raw[: least - 1]))
            for cut in (least, least + 4, least + 8, least + 12):
                self.assertEqual(ctnetlink.has_ports(raw[:cut]), False)
            self.assertTrue(ctnetlink.has_ports(raw))
            self.assertFalse(ctnetlink.has_ports(raw + bytes(4)))
        self.assertIsNone(ctnetlink.ends(b"\0" * 80))

    def test_a_tuple_without_its_port(self) -> None:
        """The source port alone is zeros, or the id of an echo request; what is too short stays."""
        wide = socket.inet_pton(socket.AF_INET6, "2001:db8::1"), socket.inet_pton(socket.AF_INET6, "2001:db8::2")
        for source, destination, at in ((LOCAL, REMOTE, 36), (*wide, 60)):
            raw = raw_tuple(source, destination, 0xABCD, 443)
            self.assertEqual(ctnetlink.without_port(raw), raw_tuple(source, destination, 0, 443))
            self.assertEqual(ctnetlink.without_port(raw[:at]), raw[:at])
            self.assertEqual(ctnetlink.without_port(raw[: at + 4]), raw[:at] + bytes(4))
        self.assertEqual(ctnetlink.without_port(raw_tuple(LOCAL, REMOTE, 77, 0, 1)), raw_tuple(LOCAL, REMOTE, 0, 0, 1))

    def test_the_kernels_tuples_are_made_alike(self) -> None:
        """Byte for byte, so that they can be looked up."""
        found = Decoder().decode(DUMPED).changes[0]
        for raw in (found.orig, found.reply):
            ends = ctnetlink.ends(raw)
            assert ends is not None
            self.assertEqual(ctnetlink.raw_tuple(ends), raw)

    def test_requests(self) -> None:
        """As the kernel takes them."""
        for request, kind in (
            (ctnetlink.dump_request(5), "0101010300"),
            (ctnetlink.cpu_stats_request(5), "0401010300"),
            (ctnetlink.stats_request(5), "0501010000"),
        ):
            self.assertEqual(request.hex(), f"14000000{kind[:8]}05000000" + "00" * 8)

    def test_an_echo_request_has_no_ports(self) -> None:
        """Its id is none."""
        self.assertEqual(ctnetlink.ends(raw_tuple(LOCAL, REMOTE, 77, 0, 1)), (LOCAL, REMOTE, 1, 0, 0))

    def test_statistics_are_read(self) -> None:
        """Counters by CPU and the fill of the table; what is cut off is left out."""
        from tests.tracker.support import attribute

        cpu = bytes((0, 0, 0, 3)) + attribute(10, (7).to_bytes(4, "big")) + attribute(15, (2).to_bytes(4, "big"))
        answer = ctnetlink.HEADER.pack(16 + len(cpu), 0x0104, 2, 1, 0) + cpu
        self.assertEqual(ctnetlink.decode_stats(answer).cpus, {3: {"drop": 7, "chaintoolong": 2}})
        whole = bytes(4) + attribute(1, (5).to_bytes(4, "big")) + attribute(2, (9).to_bytes(4, "big"))
        answer = ctnetlink.HEADER.pack(16 + len(whole), 0x0105, 0, 1, 0) + whole
        self.assertEqual(ctnetlink.decode_stats(answer)[1:], ((5, 9), True))
        self.assertEqual(ctnetlink.decode_stats(answer[:-2]).fill, None)
