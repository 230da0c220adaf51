"""The chain: order, counters, and filters that break."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.chain import LOG_EVERY_S, SAMPLE, FilterChain
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop
from tests.udp.filters.support import build, datagram


class ChainTests(SynchronousTestCase):
    """Order, drops, crashes, counters."""

    def test_read_goes_forward_and_write_backward(self) -> None:
        """Like layers of an onion."""
        first = build("kind = concatenate\non_read = append\non_write = append\nbytes = MQ==")
        second = build("kind = concatenate\non_read = append\non_write = append\nbytes = Mg==")
        chain = FilterChain([("first", first), ("second", second)])
        read, write = datagram(b""), datagram(b"")
        chain.read(read)
        chain.write(write)
        self.assertEqual((read.payload, write.payload), (b"12", b"21"))

    def test_each_way_runs_its_own_side(self) -> None:
        """Of every datagram, those that are timed included."""
        chain = FilterChain([("x", build("kind = concatenate\non_read = append\non_write = prepend\nbytes = MQ=="))])
        for _ in range(2 * SAMPLE + 1):
            read, write = datagram(b"x"), datagram(b"x")
            self.assertEqual((chain.read(read), chain.write(write)), (None, None))
            self.assertEqual((read.payload, write.payload), (b"x1", b"1x"))
        chain = FilterChain([("x", build("kind = concatenate\non_write = prepend\nbytes = MQ=="))])
        for _ in range(2 * SAMPLE + 1):
            write = datagram(b"x")
            chain.write(write)
            self.assertEqual(write.payload, b"1x")

    def test_sides_that_do_nothing_are_left_out(self) -> None:
        """A chain of capture and router has no write side at all."""
        chain = FilterChain([("c", build("kind = capture\nsize = 1")), ("r", build("kind = token_router"))])
        self.assertEqual((chain.reads, chain.writes), (True, False))
        self.assertEqual((FilterChain([]).reads, FilterChain([("p", build("kind = pass"))]).reads), (False, False))

    def test_a_destination_chosen_before_a_drop_does_not_reach_the_next_datagram(self) -> None:
        """Quilkin's router, then firewall: a wrong token after a right one went through."""
        chain = FilterChain(
            [
                ("c", build("kind = capture\nsize = 3\nmetadata_key = k")),
                ("r", build("kind = token_router\nmetadata_key = k")),
                ("f", build("kind = firewall\non_read = deny any")),
            ]
        )
        self.assertEqual(chain.read(datagram(b"abc")), Drop.DENIED)
        self.assertEqual(chain.read(datagram(b"zzz")), Drop.NO_MATCH)

    def test_a_filter_that_raises_drops_and_is_told_of_once_a_minute(self) -> None:
        """Counted every time; also when the datagram is one of those that are timed."""
        told: list[str] = []

        class Broken(DatagramFilter):
            def read(self, datagram: Datagram) -> Drop | None:
                raise RuntimeError("bug")

        chain = FilterChain([("b", Broken())], None, lambda name, error: told.append(f"{name}: {error}"))
        for number in range(2 * SAMPLE):
            given_ = datagram()
            given_.now = number * LOG_EVERY_S / SAMPLE
            self.assertEqual(chain.read(given_), Drop.FILTER_ERROR)
        self.assertEqual((told, chain.counters["b", "read"].errors), (["b: bug"] * 2, 2 * SAMPLE))

    def test_an_answer_that_is_no_drop_is_an_error_of_the_filter(self) -> None:
        """A user's filter may return anything."""

        class Odd(DatagramFilter):
            def read(self, datagram: Datagram) -> Any:
                return True

        self.assertEqual(FilterChain([("o", Odd())]).read(datagram()), Drop.FILTER_ERROR)

    def test_counters_survive_a_new_chain(self) -> None:
        """Which is what a reload is; the sampled durations too."""
        chain = FilterChain([("p", build("kind = drop"))])
        for _ in range(SAMPLE):
            chain.read(datagram())
        again = FilterChain([("p", build("kind = drop"))], chain.counters)
        again.read(datagram())
        counters = again.counters["p", "read"]
        self.assertEqual((counters.seen, counters.dropped, counters.durations.count), (SAMPLE + 1, SAMPLE + 1, 1))

    def test_every_128th_datagram_is_timed(self) -> None:
        """By a fine clock; a drop is timed too; one that is timed is handled like any other."""
        ticks = iter(range(1000))
        chain = FilterChain(
            [("one", build("kind = debug")), ("two", build("kind = drop"))], timer=lambda: float(next(ticks))
        )
        for number in range(1, 2 * 128 + 1):
            self.assertEqual(chain.read(datagram()), Drop.FILTERED)
            self.assertEqual(chain.counters["two", "read"].durations.count, number // 128)
        for name in ("one", "two"):
            counters = chain.counters[name, "read"]
            self.assertEqual((counters.durations.count, counters.durations.sum), (2, 2.0))
            self.assertEqual((counters.seen, counters.errors), (256, 0))
        self.assertEqual(chain.counters["one", "read"].dropped, 0)
        self.assertEqual(chain.counters["two", "read"].dropped, 256)

    def test_the_steps_of_durations(self) -> None:
        """Quilkin's: from 125 microseconds, each two and a half times the one before."""
        chain = FilterChain([("one", build("kind = drop"))])
        bounds = [bound for bound, _ in chain.counters["one", "read"].durations.cumulative()]
        expected = "0.000125 0.0003125 0.00078125 0.001953125 0.004882812 0.012207031 0.030517578 0.076293945"
        self.assertEqual(" ".join(bounds), f"{expected} 0.190734863 0.476837158 1.192092896 +Inf")

    def test_both_directions_count_apart(self) -> None:
        """By filter and direction; a side that a filter does not have has no counters."""
        chain = FilterChain([("a", build("kind = capture\nsize = 1")), ("b", build("kind = drop"))])
        self.assertEqual(list(chain.counters), [("a", "read"), ("b", "read"), ("b", "write")])
        chain.read(datagram(b"x"))
        chain.write(datagram(b"x"))
        chain.write(datagram(b"x"))
        seen = [counters.seen for counters in chain.counters.values()]
        dropped = [counters.dropped for counters in chain.counters.values()]
        self.assertEqual((seen, dropped), ([1, 1, 2], [0, 1, 2]))
        self.assertTrue(chain.writes)

    def test_errors_are_told_once_a_minute_for_each_filter(self) -> None:
        """After exactly a minute again; the next filters are not run."""
        told: list[tuple[str, str]] = []

        class Broken(DatagramFilter):
            def read(self, datagram: Datagram) -> Drop | None:
                raise RuntimeError("bug")

        class Odd(DatagramFilter):
            def read(self, datagram: Datagram) -> Any:
                return 7

        for made, error in ((Broken(), "bug"), (Odd(), "returned int, not a Drop or None")):
            told.clear()
            chain = FilterChain(
                [("bad", made), ("next", build("kind = drop"))], None, lambda name, why: told.append((name, str(why)))
            )
            for now, count in ((0.0, 1), (59.9, 1), (60.0, 2), (60.1, 2), (120.0, 3)):
                given_ = datagram()
                given_.now = now
                self.assertEqual(chain.read(given_), Drop.FILTER_ERROR)
                self.assertEqual(told, [("bad", error)] * count)
            counters = chain.counters["bad", "read"]
            self.assertEqual((counters.seen, counters.errors, counters.dropped), (5, 5, 0))
            self.assertEqual(chain.counters["next", "read"].seen, 0)

    def test_a_wrong_answer_of_a_timed_datagram_is_an_error_too(self) -> None:
        """Counted as such, not as a drop."""

        class Odd(DatagramFilter):
            def read(self, datagram: Datagram) -> Any:
                return "drop"

        chain = FilterChain([("odd", Odd())])
        for _ in range(128):
            self.assertEqual(chain.read(datagram()), Drop.FILTER_ERROR)
        counters = chain.counters["odd", "read"]
        self.assertEqual((counters.errors, counters.dropped, counters.durations.count), (128, 0, 1))
