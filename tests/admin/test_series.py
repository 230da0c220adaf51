"""Series that several parts of the appliance show."""

from __future__ import annotations

from prometheus_client.samples import Sample
from twisted.trial.unittest import SynchronousTestCase

from netappliance.admin.series import added_up


class SeriesTests(SynchronousTestCase):
    """added_up."""

    def test_the_same_labels_are_one_series(self) -> None:
        """In the order in which they first come; the parts of a histogram are series of their own."""
        samples = [
            Sample("n_bucket", {"listener": "b", "le": "1.0"}, 1.0),
            Sample("n_bucket", {"listener": "b", "le": "+Inf"}, 2.0),
            Sample("n_count", {"listener": "b"}, 2.0),
            Sample("n_count", {"listener": "a"}, 7.0),
            Sample("n_bucket", {"listener": "b", "le": "1.0"}, 3.0),
            Sample("n_bucket", {"listener": "b", "le": "+Inf"}, 4.0),
            Sample("n_count", {"listener": "b"}, 4.0),
        ]
        expected = [
            ("n_bucket", {"listener": "b", "le": "1.0"}, 4.0),
            ("n_bucket", {"listener": "b", "le": "+Inf"}, 6.0),
            ("n_count", {"listener": "b"}, 6.0),
            ("n_count", {"listener": "a"}, 7.0),
        ]
        self.assertEqual([(each.name, each.labels, each.value) for each in added_up(samples)], expected)

    def test_of_points_in_time_the_earliest(self) -> None:
        """Two files of one name: what expires first is what matters."""
        name = "netappliance_certificate_expires_timestamp_seconds"
        samples = [Sample(name, {"name": "a"}, value) for value in (20.0, 10.0, 30.0)]
        self.assertEqual([each.value for each in added_up(samples)], [10.0])
