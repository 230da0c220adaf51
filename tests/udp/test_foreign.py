"""Filters that are not ours, which may leave anything behind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.chain import FilterChain
from netappliance.udp.datagram import Datagram, DatagramFilter, Drop
from netappliance.udp.foreign import ForeignFilter, guarded
from tests.udp.filters.support import BACKENDS, build, datagram


class Plain:
    """A filter by its methods alone."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        self.act = act

    def read(self, datagram: Datagram) -> Any:
        """Do it."""
        return self.act(datagram)

    def write(self, datagram: Datagram) -> Any:
        """The same."""
        return self.act(datagram)


class ForeignFilterTests(SynchronousTestCase):
    """By what they return and leave."""

    def test_what_is_right_passes(self) -> None:
        """Changes, drops and destinations."""

        def change(datagram: Any) -> Any:
            datagram.payload += b"!"
            datagram.metadata["k"] = 1
            datagram.destinations = [BACKENDS[0]]

        changed = datagram(b"a")
        chain = FilterChain([("p", Plain(change)), ("q", Plain(lambda datagram: Drop.DENIED))])
        self.assertEqual((chain.read(changed), chain.counters["p", "read"].errors), (Drop.DENIED, 0))
        self.assertEqual((changed.payload, changed.metadata, changed.destinations), (b"a!", {"k": 1}, [BACKENDS[0]]))

    @staticmethod
    def leave(name: str, value: object, datagram: Any) -> None:
        """Leave that behind."""
        setattr(datagram, name, value)

    def test_a_wrong_type_is_an_error_that_names_it(self) -> None:
        """In both directions, and the datagram is dropped."""
        told: list[str] = []

        def tell(name: str, error: BaseException) -> None:
            told.append(f"{name}: {type(error).__name__}: {error}")

        wrong: dict[str, Any] = {"payload": "text", "metadata": None, "destinations": ["10.0.0.1"]}
        for name, value in wrong.items():
            told.clear()
            chain = FilterChain([("p", Plain(functools.partial(self.leave, name, value)))], None, tell)
            for run in (chain.read, chain.write):
                self.assertEqual(run(datagram(b"a")), Drop.FILTER_ERROR, name)
            self.assertEqual(len(told), 2, name)
            for line in told:
                self.assertIn("p: TypeError: ", line)
                self.assertIn("str" if name != "metadata" else "None", line)

    def test_ours_are_not_wrapped_and_others_once(self) -> None:
        """Whatever they derive from."""

        class Derived(DatagramFilter):
            """Of a plug-in."""

        ours = build("kind = drop")
        self.assertIs(guarded(ours), ours)
        wrapped = guarded(Derived())
        self.assertIsInstance(wrapped, ForeignFilter)
        self.assertIs(guarded(wrapped), wrapped)
