"""Where a listener's requests go."""

from __future__ import annotations

from netappliance.clusters.cluster import Cluster
from netappliance.http.backends.balance_key import BalanceKey
from netappliance.http.backends.pool import BackendPool
from netappliance.http.backends.sticky import Sticky
from netappliance.http.statistics import RequestStatistics


class Target:
    """
    A cluster as one listener sees it, with what a request needs of its section.

    :ivar pool: the cluster's, shared by all listeners. :ivar balance_key: None for policies that hash nothing.
    :ivar particular: the choice of a backend depends on the request. :ivar retries: attempts on backends at most.
    :ivar retry_on: what is tried again. :ivar retry_statuses: those of ``retry_on``.
    :ivar judges: the cluster looks for outliers. :ivar attentive: responses are looked at before they are passed on.
    """

    __slots__ = (
        "attentive",
        "balance_key",
        "cluster",
        "connect_timeout_s",
        "judges",
        "particular",
        "pool",
        "queue_timeout_s",
        "retries",
        "retry_on",
        "retry_statuses",
        "statistics",
        "sticky",
    )

    def __init__(self, cluster: Cluster, pool: BackendPool) -> None:
        section = cluster.section
        self.cluster = cluster
        self.pool = pool
        self.statistics = RequestStatistics()
        self.sticky = Sticky(cluster) if section.sticky_cookie else None
        self.balance_key = BalanceKey(section.balance_key) if cluster.needs_key else None
        self.particular = self.sticky is not None or self.balance_key is not None
        self.retries = section.retries
        self.retry_on = section.retry_on
        self.retry_statuses = frozenset(int(reason) for reason in section.retry_on if reason.isdigit())
        self.judges = cluster.outliers.active
        self.attentive = self.sticky is not None or self.judges or bool(self.retry_statuses)
        self.connect_timeout_s = section.connect_timeout_s
        self.queue_timeout_s = section.queue_timeout_s
