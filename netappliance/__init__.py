"""A pluggable network appliance on Twisted: see docs/architecture.md for the map."""

from __future__ import annotations

__version__ = "26.11.0"
