"""The contract of balancing policies."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from netappliance.clusters.backend import Backend
from netappliance.interfaces import IBalancer, IBalancerFactory
from netappliance.testing.backends import backend
from netappliance.testing.promises import promise, promise_interface, promise_plugin

#: none, an address, bytes that are no text, one that is long
KEYS = (b"", b"192.0.2.1", b"\x00\xff\r\n", b"k" * 65536)


def subsets(members: Sequence[Backend]) -> Iterator[tuple[Backend, ...]]:
    """Yield every non-empty choice of members, in their order."""
    for size in range(1, len(members) + 1):
        yield from combinations(members, size)


class BalancerContract:
    """Override :meth:`make`; :meth:`members` where yours looks at more than these have."""

    def make(self) -> Any:
        """Return the plug-in, which is the factory."""
        raise NotImplementedError

    def members(self) -> list[Backend]:
        """Return the backends of a cluster: weights differ, one has none, some are busy."""
        found = [backend(number, weight) for number, weight in enumerate((1, 1, 5, 0, 2), 1)]
        found[1].active = 7
        found[2].observe_latency(0.25, 99.0)
        return found

    def test_it_can_be_found_and_named(self) -> None:
        """As a plug-in of Twisted's, by its name."""
        promise_plugin(self.make(), IBalancerFactory)

    def test_each_tier_has_a_policy_of_its_own(self) -> None:
        """They would share turns and members."""
        factory = self.make()
        made = [factory.make(random.Random(1)) for _ in range(2)]  # noqa: S311 - no secret
        promise_interface(made[0], IBalancer)
        promise(isinstance(made[0].needs_key, bool), f"needs_key is a bool, not {made[0].needs_key!r}")
        promise(made[0] is not made[1], "make returns a new policy each time")

    def test_it_chooses_one_of_those_that_may_be_used(self) -> None:
        """Of any of the members, for any key, at any time; and it changes none of them."""
        members = self.members()
        before = [_state(each) for each in members]
        self._choose(self._policy(members), members)
        promise([_state(each) for each in members] == before, "a policy changes no backend")

    def test_the_members_change(self) -> None:
        """To fewer, to none (a tier may be empty), to others."""
        policy = self._policy(self.members())
        for members in (self.members()[:2], [], [backend(9)], self.members()):
            policy.set_members(members)
            self._choose(policy, members)

    def test_its_only_random_source_is_the_one_it_is_given(self) -> None:
        """Two that are built alike choose alike."""
        members = self.members()
        one, other = self._policy(members), self._policy(members)
        for turn in range(256):
            key = b"%d" % turn
            alike = one.choose(tuple(members), key, 100.0) is other.choose(tuple(members), key, 100.0)
            promise(alike, "policies that are made with equal generators choose alike")

    def _policy(self, members: list[Backend]) -> Any:
        policy = self.make().make(random.Random(1))  # noqa: S311 - no secret
        policy.set_members(members)
        return policy

    def _choose(self, policy: Any, members: list[Backend]) -> None:
        for number, usable in enumerate(subsets(members)):
            for key in KEYS:
                chosen = policy.choose(usable, key, 100.0 + number)
                promise(
                    any(chosen is each for each in usable),
                    f"choose returns one of {[each.id for each in usable]}, not {getattr(chosen, 'id', chosen)!r}",
                )


def _state(backend: Backend) -> tuple[object, ...]:
    return backend.id, backend.weight, backend.active, backend.healthy, backend.draining, backend.latency_s
