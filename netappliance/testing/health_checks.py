"""The contract of health checks."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, AF_UNIX
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from netappliance.interfaces import IHealthCheck
from netappliance.testing.promises import promise, promise_plugin

#: (family, sockaddr) of backends; a check that has sockets of its own asks this host only
BACKENDS = ((AF_INET, ("127.0.0.1", 9)), (AF_INET6, ("::1", 9)), (AF_UNIX, "/run/web.sock"))
#: options of every check, which are the appliance's
COMMON = {"interval", "timeout", "rise", "fall", "port"}


class HealthCheckContract:
    """Override :meth:`make`; :meth:`good_options` where yours cannot do without any."""

    def make(self) -> Any:
        """Return the check."""
        raise NotImplementedError

    def good_options(self) -> dict[str, str]:
        """Return options that it takes."""
        return {}

    def test_it_can_be_found_and_named(self) -> None:
        """As a plug-in of Twisted's, by its name; its options have names that are not the appliance's."""
        check = self.make()
        promise_plugin(check, IHealthCheck)
        promise(
            isinstance(check.options, tuple) and all(isinstance(name, str) for name in check.options),
            f"options is a tuple of names, not {check.options!r}",
        )
        promise(not COMMON & set(check.options), f"{sorted(COMMON)} are the appliance's")

    def test_equal_options_make_equal_settings(self) -> None:
        """Or each reload would begin the checks anew."""
        one, other = (self.make().configure(self.good_options()) for _ in range(2))
        promise(one == other, f"settings compare by ==: {one!r} and {other!r}")

    def test_bad_options_are_told(self) -> None:
        """By ValueError, with what was expected; any text may be given."""
        check = self.make()
        for name in check.options:
            for text in ("", "\xff\r\n", "-1", "9" * 400, "/" * 4000):
                try:
                    check.configure({**self.good_options(), name: text})
                except ValueError as error:
                    promise(bool(str(error)), f"the error about {name}= says what was expected")

    def test_a_probe_waits_in_a_deferred_and_ends_when_cancelled(self) -> None:
        """Nothing is left behind then, neither a timer nor a connection that is being made."""
        check = self.make()
        settings = check.configure(self.good_options())
        for family, sockaddr in BACKENDS:
            reactor = MemoryReactorClock()
            probe = check.probe(family, sockaddr, settings, reactor, 5.0)
            promise(isinstance(probe, Deferred), f"probe returns a Deferred, not {type(probe).__name__}")
            ends: list[object] = []
            probe.addBoth(ends.append)
            probe.cancel()
            promise(len(ends) == 1, "a cancelled probe ends")
            promise(not reactor.getDelayedCalls(), "a cancelled probe leaves no timer")
            promise(all(each.stoppedConnecting for each in reactor.connectors), "a cancelled probe stops connecting")
