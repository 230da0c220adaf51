"""What the metrics page says of filters."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.http.filter_collector import filter_metrics
from netappliance.http.filters.base import RequestFilter
from netappliance.http.filters.chain import RequestChain
from tests.http.filters.support import build, exchange
from tests.http.filters.test_chain import Raising


class CollectorTests(SynchronousTestCase):
    """Names, labels, values."""

    def test_answers_errors_and_figures_by_route_and_filter(self) -> None:
        """One family each; a filter that is there twice is one series."""
        limited = "kind = request_rate_limit\nrequests = 1\nperiod = 1h"
        first = RequestChain([("limit", build(limited)), ("limit", build(limited))])
        second = RequestChain([("mine", Raising()), ("deny", build("kind = deny"))])
        for _ in range(3):
            first.request(exchange())
            second.request(exchange())
        families = {
            family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
            for family in filter_metrics([("a", first), ("b", second)])
        }
        prefix = "netappliance_http_filter_"
        self.assertEqual(
            families,
            {
                prefix + "answers": {("a", "limit", "429"): 2},
                prefix + "errors": {("a", "limit"): 0, ("b", "mine"): 3, ("b", "deny"): 0},
                prefix + "figures": {("a", "limit", "limited"): 2, ("a", "limit", "evicted"): 0},
            },
        )

    def test_a_filter_without_figures_has_none(self) -> None:
        """A class of the operator's need not have the method."""

        class Plain:
            """Only what it needs."""

            def request(self, exchange: object) -> None:
                """Pass."""

        *_, figures = filter_metrics([("a", RequestChain([("p", Plain())]))])
        self.assertEqual(figures.samples, [])

    def test_figures_that_cannot_be_had_cost_the_page_nothing(self) -> None:
        """The filter's error is counted, and the others' figures are there."""

        class Broken(RequestFilter):
            """Counts wrong."""

            def figures(self) -> dict[str, int]:
                """Give what is no number."""
                return {"passed": "many"}  # type: ignore[dict-item]

        chain = RequestChain([("p", Broken()), ("l", build("kind = request_rate_limit\nrequests = 1"))])
        _, errors, figures = filter_metrics([("a", chain)])
        self.assertEqual([sample.value for sample in errors.samples], [1, 0])
        self.assertEqual({sample.labels["filter"] for sample in figures.samples}, {"l"})
