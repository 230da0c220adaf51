"""A scrape in slices says what the library says at once, and gives way in between."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import openmetrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.scrape import PIECE, SLICE_S, Encoder, SlicedRegistry, scrape

ENCODERS: tuple[Encoder, ...] = (generate_latest, openmetrics.exposition.generate_latest)


class Fleet(Collector):
    """Families with so many samples."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        for number, size in enumerate(self._sizes):
            family = GaugeMetricFamily(f"fleet_{number}", "How \\ many\nof them.", labels=["one"])
            for one in range(size):
                family.add_metric([f'"{one}"'], one)
            yield family
        counter = CounterMetricFamily("events", "With the time of its making.", labels=["one"])
        counter.add_metric(["a"], 1, created=17.0)
        yield counter
        histogram = HistogramMetricFamily("secs", "How long.", labels=["one"])
        histogram.add_metric(["a"], [("1.0", 1), ("+Inf", 3)], 4.5)
        yield histogram


class ScrapeTests(SynchronousTestCase):
    """Registries of all sizes."""

    def text(self, registry: SlicedRegistry, encoder: Encoder, tick: float = 0.0) -> tuple[bytes, int]:
        """Return what a scrape says, and how often it gave way; each look at the clock finds it ``tick`` later."""
        now = 0.0
        pauses = 0

        def clock() -> float:
            nonlocal now
            now += tick
            return now

        def pause() -> Deferred[None]:
            nonlocal pauses
            pauses += 1
            return succeed(None)

        made = Deferred.fromCoroutine(scrape(registry.steps(), encoder, clock, pause))
        return self.successResultOf(made), pauses

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.sampled_from((0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE)), max_size=3))
    def test_the_text_is_the_librarys(self, sizes: list[int]) -> None:
        """In both formats, wherever it is cut."""
        registry = SlicedRegistry()
        registry.register(Fleet(*sizes))
        for encoder in ENCODERS:
            self.assertEqual(self.text(registry, encoder, SLICE_S)[0], encoder(registry))

    def test_nothing_at_all(self) -> None:
        """Has an end where the format has one."""
        for encoder in ENCODERS:
            self.assertEqual(self.text(SlicedRegistry(), encoder)[0], encoder(SlicedRegistry()))

    def test_others_have_their_turn_after_each_slice(self) -> None:
        """And only then."""
        registry = SlicedRegistry()
        registry.register(Fleet(10 * PIECE))
        self.assertEqual(self.text(registry, generate_latest, 0.0)[1], 0)
        self.assertGreaterEqual(self.text(registry, generate_latest, SLICE_S)[1], 10)

    def test_a_collector_says_where_it_may_be_interrupted(self) -> None:
        """By None between its families; the library's own view has the families alone."""

        class Stepping(Fleet):
            def steps(self) -> Iterator[Metric | None]:
                for family in self.collect():
                    yield from (None, None, family)

        registry = SlicedRegistry()
        registry.register(Stepping(1))
        text, pauses = self.text(registry, generate_latest, SLICE_S)
        self.assertEqual((text, pauses), (generate_latest(registry), 13))

    def test_a_pause_is_waited_for(self) -> None:
        """Nothing goes on meanwhile."""
        registry = SlicedRegistry()
        registry.register(Fleet(1))
        waits: list[Deferred[None]] = []

        def pause() -> Deferred[None]:
            waits.append(Deferred())
            return waits[-1]

        ticks = iter(range(1000))
        clock = partial(next, ticks)
        made = Deferred.fromCoroutine(scrape(registry.steps(), generate_latest, clock, pause))
        while not made.called:
            self.assertNoResult(made)
            waits[-1].callback(None)
        self.assertEqual(self.successResultOf(made), generate_latest(registry))
