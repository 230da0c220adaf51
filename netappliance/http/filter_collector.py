"""Metrics of the filters of routes: answers they gave, their contained exceptions, what they count of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from netappliance.http.filters.chain import RequestChain
from netappliance.http.routing.route import Route

_PREFIX = "netappliance_http_filter_"
_LABELS = ["route", "filter"]


class FilterCollector(Collector):
    """
    The filters of all routes, read at scrape time; a filter that a route names twice is counted together.

    :param routes: of the appliance; the listeners share them.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from filter_metrics((route.name, route.chain) for route in self._routes if route.chain is not None)


def filter_metrics(chains: Iterable[tuple[str, RequestChain]]) -> Iterator[Metric]:
    """Yield the families for (route, chain) pairs."""
    answers = CounterMetricFamily(
        _PREFIX + "answers",
        "Requests that a filter answered itself (refused, redirected), by status.",
        labels=[*_LABELS, "status"],
    )
    errors = CounterMetricFamily(_PREFIX + "errors", "Exceptions of a filter, contained.", labels=_LABELS)
    figures = CounterMetricFamily(_PREFIX + "figures", "What filters count of their own.", labels=[*_LABELS, "figure"])
    for route, chain in chains:
        for (name, figure), count in _figures(chain).items():
            figures.add_metric([route, name, figure], count)
        for name, counters in chain.counters.items():
            key = [route, name]
            errors.add_metric(key, counters.errors)
            for status, count in counters.answers.items():
                answers.add_metric([*key, str(status)], count)
    yield from (answers, errors, figures)


def _figures(chain: RequestChain) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for name, made in chain.filters:
        try:
            own = {str(figure): int(count) for figure, count in getattr(made, "figures", dict)().items()}
        except Exception:  # noqa: BLE001 - a filter's bug costs its own figures, not the page
            chain.counters[name].errors += 1
            continue
        for figure, count in own.items():
            found[name, figure] = found.get((name, figure), 0) + count
    return found
