"""
Active health checks: what a cluster's ``health_check`` means.

``KIND [option=value]...``: the options ``interval``, ``timeout``, ``rise``, ``fall``, ``port`` and ``initial`` are the
same for every kind; the rest is the kind's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netappliance.config import values
from netappliance.config.plugins import find, names
from netappliance.config.schema import suggestion
from netappliance.interfaces import IHealthCheck

OURS = ("http", "tcp", "udp")


def _interval(text: str) -> float:
    seconds = values.duration(text)
    if seconds < 0.1:
        raise ValueError("a duration of at least 100ms")
    return seconds


_COMMON: dict[str, tuple[Callable[[str], Any], str]] = {
    "interval": (_interval, "10s"),
    "timeout": (values.positive_duration, "5s"),
    "rise": (values.integer(1, 1000), "3"),
    "fall": (values.integer(1, 1000), "3"),
    "port": (values.integer(0, 65535), "0"),
    "initial": (values.choice("up", "checking"), "up"),
    "tls": (values.boolean, "yes"),
}


@dataclass(frozen=True, slots=True)
class HealthSpec:
    """
    How a cluster's backends are checked.

    :ivar check: the :class:`netappliance.interfaces.IHealthCheck`. :ivar settings: what it made of its options.
    :ivar rise: checks in a row that must pass before an ill backend is well. :ivar fall: that must fail before a well
        one is ill. :ivar port: asked instead of the backend's own; 0 = that. :ivar initial: ``up`` or ``checking``,
        what a backend is before its first checks. :ivar tls: the check asks over TLS where the cluster has it.
    """

    kind: str
    check: Any
    settings: Any
    interval_s: float
    timeout_s: float
    rise: int
    fall: int
    port: int
    initial: str = "up"
    tls: bool = True


def health_check(text: str) -> HealthSpec | None:
    """
    Parse ``http uri=/healthz expect=200 interval=10s``; empty is None.

    :raises ValueError: with what was expected.
    """
    if not text:
        return None
    kind, *words = text.split()
    check = _check(kind)
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"options of the form key=value, not {word!r}")
        if key in given:
            raise ValueError(f"{key}= only once")
        given[key] = value
    common = {}
    for key, (convert, default) in _COMMON.items():
        try:
            common[key] = convert(given.pop(key, default))
        except ValueError as error:
            raise ValueError(f"{error} in {key}=") from None
    known = [*check.options, *_COMMON]
    for key in given:
        if key not in check.options:
            expected = ", ".join(f"{option}=" for option in known)
            raise ValueError(f"options {expected}{suggestion(key, known)}")
    settings = check.configure(given)
    return HealthSpec(
        kind,
        check,
        settings,
        common["interval"],
        common["timeout"],
        common["rise"],
        common["fall"],
        common["port"],
        common["initial"],
        common["tls"],
    )


def _check(kind: str) -> Any:
    if kind in OURS:
        from netappliance.clusters.health.probes import CHECKS

        return CHECKS[kind]
    try:
        return find(IHealthCheck, kind)
    except ValueError:
        known = [*OURS, *names(IHealthCheck)]
        raise ValueError(f"{' | '.join(known)}{suggestion(kind, known)}, then options") from None
