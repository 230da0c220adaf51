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
