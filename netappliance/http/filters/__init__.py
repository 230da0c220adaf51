"""The kinds of request filters that come with the appliance, and how a route's filters are built."""

from __future__ import annotations

from typing import Any

from netappliance.http.filters.base import RequestFilter, Resources

__all__ = ["Filter", "RequestFilter", "Resources"]

#: what ``make`` of a filter kind returns
Filter = Any
