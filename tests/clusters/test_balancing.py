"""The balancing policies: weights, stability, and how few keys move."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from netappliance import plugins
from netappliance.clusters.backend import Backend
from netappliance.clusters.backend_section import BackendSection, backend_lines
from netappliance.clusters.balancing import balancer_names, make_balancer
from netappliance.clusters.balancing.draw import Draw
from netappliance.clusters.balancing.least_connections import LeastConnections
from netappliance.clusters.balancing.maglev import SIZE, SLICE
from netappliance.clusters.balancing.policy import Policy, ThirdPartyPolicy
from netappliance.clusters.balancing.rendezvous import drawn as drawn_for
from netappliance.clusters.cluster import Cluster
from netappliance.clusters.section import ClusterSection
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.interfaces import IBalancer

KEYS = [f"192.0.2.{number % 256}:{number}".encode() for number in range(6000)]


def backends(weights: Sequence[int]) -> list[Backend]:
    """Backends b0, b1 ... with these weights."""
    return [
        Backend(
            BackendSection(f"b{number}", "127.0.0.1", 1 + number, weight=weight),
            2,
            ("127.0.0.1", 1 + number),
            f"b{number}",
        )
        for number, weight in enumerate(weights)
    ]


def policy(name: str, members: Sequence[Backend]) -> Policy:
    """A policy that knows its members."""
    made = make_balancer(name, random.Random(7))
    made.set_members(members)
    return made


def assign(made: Policy, members: Sequence[Backend], count: int = len(KEYS)) -> dict[bytes, str]:
    """Where each key goes."""
    return {key: made.choose(members, key, 0.0).id for key in KEYS[:count]}


GOLDEN = """
import random
from tests.clusters.test_balancing import KEYS, assign, backends, policy
members = backends([100, 200, 100])
for name in ("rendezvous", "maglev"):
    print(name, [assign(policy(name, members), members)[key] for key in KEYS[:12]])
"""


class PolicyTests(SynchronousTestCase):
    """Every policy of the configuration."""

    def test_all_names_make_a_balancer(self) -> None:
        """And it provides the interface."""
        expected = ["round_robin", "random", "least_connections", "power_of_two", "rendezvous", "maglev", "peak_ewma"]
        self.assertEqual(balancer_names(), expected)
        for name in expected:
            members = backends([100, 100])
            made = policy(name, members)
            verifyObject(IBalancer, made, tentative=True)
            self.assertIn(made.choose(members, b"k", 0.0), members)

    def test_weights_are_honoured_by_every_policy(self) -> None:
        """1 : 2 : 1 while connections stay open, so that those that count them see the load."""
        for name in balancer_names():
            members = backends([100, 200, 100])
            made = policy(name, members)
            counted: Counter[str] = Counter()
            for key in KEYS:
                chosen = made.choose(members, key, 0.0)
                chosen.active += 1
                made.loaded(chosen)
                chosen.observe_latency(0.001, 0.0)
                counted[chosen.id] += 1
            share = counted["b1"] / len(KEYS)
            self.assertTrue(0.46 < share < 0.54, f"{name}: {counted}")
            self.assertTrue(0.21 < counted["b0"] / len(KEYS) < 0.29, f"{name}: {counted}")

    def test_weights_are_honoured_while_all_are_idle(self) -> None:
        """Sessions that end before the next begins, with latencies that vary: the lighter is not starved."""
        noise = random.Random(5)
        for name in balancer_names():
            members = backends([100, 300])
            made = policy(name, members)
            counted: Counter[str] = Counter()
            for number, key in enumerate(KEYS):
                chosen = made.choose(members, key, number * 0.01)
                chosen.observe_latency(0.001 + 0.0005 * noise.random(), number * 0.01)
                counted[chosen.id] += 1
            self.assertTrue(0.21 < counted["b0"] / len(KEYS) < 0.29, f"{name}: {counted}")

    def test_round_robin_does_not_burst(self) -> None:
        """5 : 1 : 1 is spread, not five in a row and then the others."""
        members = backends([5, 1, 1])
        made = policy("round_robin", members)
        order = "".join(made.choose(members, b"", 0.0).id[1] for _ in range(70))
        self.assertEqual([order.count(name) for name in "012"], [50, 10, 10])
        self.assertNotIn("00000", order)
        self.assertNotIn("11", order)

    def test_leaving_and_joining_move_only_their_share_of_keys(self) -> None:
        """One of ten: about a tenth, and with rendezvous exactly the keys of that one."""
        members = backends([100] * 10)
        for name in ("rendezvous", "maglev"):
            before = assign(policy(name, members), members)
            fewer = members[:9]
            after = assign(policy(name, fewer), fewer)
            moved = [key for key in KEYS if before[key] != after[key]]
            must = [key for key in KEYS if before[key] == "b9"]
            self.assertTrue(set(must) <= set(moved))
            self.assertTrue(0.07 < len(must) / len(KEYS) < 0.13, name)
            # Maglev trades a few needless moves for its table (paper, section 5.3)
            self.assertLess(len(moved), len(must) * (1.0001 if name == "rendezvous" else 1.5), name)

    def test_a_member_that_is_down_moves_only_its_own_keys(self) -> None:
        """And they come back when it does."""
        members = backends([100] * 5)
        for name in ("rendezvous", "maglev"):
            made = policy(name, members)
            before = assign(made, members)
            without = assign(made, [backend for backend in members if backend.id != "b2"])
            for key in KEYS:
                if before[key] != "b2":
                    self.assertEqual(before[key], without[key], name)
                else:
                    self.assertNotEqual(without[key], "b2")
            self.assertEqual(assign(made, members), before)

    def test_every_process_chooses_alike(self) -> None:
        """Whatever Python's hash seed; the literal values keep other versions of ours honest."""
        seen = {
            subprocess.run(
                [sys.executable, "-c", GOLDEN],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        self.assertEqual(seen, {EXPECTED})

    def test_the_literal_choices_of_keyed_policies(self) -> None:
        """Another choice would part this version's clients from their backends."""
        members = backends([100, 200, 100])
        for line in EXPECTED.splitlines():
            name, _, chosen = line.partition(" ")
            assigned = assign(policy(name, members), members)
            self.assertEqual(str([assigned[key] for key in KEYS[:12]]), chosen)
            self.assertEqual(Counter(assigned.values()), SPREAD[name])

    def test_keyed_policies_with_odd_weights(self) -> None:
        """Weight 0 counts as 1 beside others, and as equal where all have it; the order of members does not count."""
        for name in ("rendezvous", "maglev"):
            members = backends([0, 0])
            counted = Counter(assign(policy(name, members), members, 1000).values())
            self.assertTrue(0.45 < counted["b0"] / 1000 < 0.55, f"{name}: {counted}")
            members = backends([100, 50, 300])
            forward = assign(policy(name, members), members, 300)
            self.assertEqual(assign(policy(name, members[::-1]), members[::-1], 300), forward)
            self.assertEqual(make_balancer(name, random.Random(1)).choose(members[:1], b"k", 0.0), members[0])
        members = backends([0, 100])
        self.assertEqual(set(assign(policy("maglev", members), members, 300).values()), {"b1"})

    def test_maglev_walks_on_alike_in_every_process(self) -> None:
        """Keys of a member that is down spread over the others by a hash of their own."""
        members = backends([100, 100, 100, 100])
        made = policy("maglev", members)
        before = assign(made, members, 3000)
        without = assign(made, members[1:], 3000)
        moved = Counter(without[key] for key in before if before[key] == "b0")
        for name in ("b1", "b2", "b3"):
            self.assertTrue(0.25 < moved[name] / sum(moved.values()) < 0.42, moved)
        lone = [made.choose(members[3:], key, 0.0).id for key in KEYS[:200]]
        self.assertEqual(set(lone), {"b3"})
        strangers = backends([100])
        self.assertEqual(made.choose(strangers, b"k", 0.0), strangers[0])

    def test_round_robin_takes_turns(self) -> None:
        """One after the other when weights are equal; with weights as often as they say, whoever is left out."""
        members = backends([100, 100, 100])
        made = policy("round_robin", members)
        order = [made.choose(members, b"", 0.0).id for _ in range(7)]
        self.assertEqual(order, ["b1", "b2", "b0", "b1", "b2", "b0", "b1"])
        self.assertEqual({made.choose(members[:2], b"", 0.0).id for _ in range(2)}, {"b0", "b1"})
        members = backends([0, 2])
        made = policy("round_robin", members)
        self.assertEqual([made.choose(members, b"", 0.0).id for _ in range(6)], ["b1", "b0", "b1"] * 2)
        weighted = backends([3, 1, 2])
        made = policy("round_robin", weighted)
        two = weighted[:2]
        order = [made.choose(two, b"", 0.0).id for _ in range(8)]
        self.assertEqual((order.count("b0"), order[:4].count("b1"), order[4:].count("b1")), (6, 1, 1))

    def test_least_connections_compares_by_weight_and_ties_go_in_turn(self) -> None:
        """Exactly; a weight of 0 counts as 1."""
        members = backends([100, 300, 200])
        made = policy("least_connections", members)
        for active, chosen in (
            ((1, 3, 3), {"b0", "b1"}),
            ((1, 2, 2), {"b1"}),
            ((0, 1, 1), {"b0"}),
            ((2, 6, 3), {"b2"}),
            ((1, 3, 2), {"b0", "b1", "b2"}),
            ((3, 8, 5), {"b2"}),
        ):
            for backend, count in zip(members, active, strict=True):
                backend.active = count
                made.loaded(backend)
            found = {made.choose(members, b"", 0.0).id for _ in range(12)}
            self.assertEqual(found, chosen, active)
        idle = backends([0, 1])
        made = policy("least_connections", idle)
        self.assertEqual(Counter(made.choose(idle, b"", 0.0).id for _ in range(10)), {"b0": 5, "b1": 5})
        idle[0].active, idle[1].active = 3, 3
        made.loaded(idle[0])
        made.loaded(idle[1])
        self.assertEqual({made.choose(idle, b"", 0.0).id for _ in range(4)}, {"b0", "b1"})
        idle[0].active, idle[1].active = 1, 2
        made.loaded(idle[0])
        made.loaded(idle[1])
        self.assertEqual(made.choose(idle, b"", 0.0).id, "b0")

    def test_power_of_two_takes_the_less_busy_for_its_weight(self) -> None:
        """Of two it is always that one; equal ones go by weight."""
        for weights, active, chosen in (
            ([100, 100], (1, 0), "b1"),
            ([100, 100], (0, 1), "b0"),
            ([100, 300], (1, 4), "b0"),
            ([100, 300], (1, 2), "b1"),
            ([0, 2], (1, 3), "b0"),
            ([0, 2], (2, 3), "b1"),
        ):
            members = backends(weights)
            members[0].active, members[1].active = active
            made = policy("power_of_two", members)
            self.assertEqual({made.choose(members, b"", 0.0).id for _ in range(50)}, {chosen}, (weights, active))
        members = backends([100])
        self.assertIs(policy("power_of_two", members).choose(members, b"", 0.0), members[0])

    def test_random_follows_the_weights(self) -> None:
        """Also where all have none; the edges of the draw belong to the first and the last."""
        members = backends([0, 0, 0])
        made = policy("random", members)
        self.assertEqual({made.choose(members, b"", 0.0).id for _ in range(60)}, {"b0", "b1", "b2"})
        for drawn, weights, chosen in (
            (0.0, [1, 1], "b0"),
            (0.49, [1, 1], "b0"),
            (0.5, [1, 1], "b1"),
            (0.999999, [1, 1], "b1"),
            (0.0, [0, 1], "b1"),
            (0.25, [1, 3], "b1"),
            (0.24, [1, 3], "b0"),
            (0.0, [0, 0], "b0"),
            (0.999, [0, 0], "b1"),
            (1.0, [1, 0], "b1"),
        ):
            members = backends(weights)
            made = make_balancer("random", Drawn(drawn))
            self.assertEqual(made.choose(members, b"", 0.0).id, chosen, (drawn, weights))

    def test_peak_ewma_wants_a_clear_difference(self) -> None:
        """The first drawn stays unless it costs more than twice the other; connections count, for their weight."""
        for first, second, chosen in (
            ((100, 0.010, 0), (100, 0.006, 0), "b0"),
            ((100, 0.010, 0), (100, 0.004, 0), "b1"),
            ((100, 0.010, 1), (100, 0.0099, 0), "b1"),
            ((100, 0.010, 1), (100, 0.0101, 0), "b0"),
            ((300, 0.010, 3), (100, 0.010, 1), "b0"),
            ((100, 0.010, 3), (300, 0.010, 1), "b1"),
            ((100, 0.010, 0), (100, 0.0, 0), "b1"),
        ):
            members = backends([first[0], second[0]])
            for backend, (_, latency, active) in zip(members, (first, second), strict=True):
                backend.observe_latency(latency, 0.0)
                backend.active = active
            made = make_balancer("peak_ewma", Drawn(0.0))
            self.assertEqual(made.choose(members, b"", 0.0).id, chosen, (first, second))
        # one of weight 0 is drawn last, and counts as 1
        for light, heavy, chosen in (
            ((0.004, 0), (0.010, 0), "b0"),
            ((0.004, 1), (0.010, 0), "b1"),
            ((0.004, 1), (0.010, 2), "b0"),
        ):
            members = backends([0, 2])
            for backend, (latency, active) in zip(members, (light, heavy), strict=True):
                backend.observe_latency(latency, 0.0)
                backend.active = active
            self.assertEqual(make_balancer("peak_ewma", Drawn(0.0)).choose(members, b"", 0.0).id, chosen)

    def test_a_measurement_fades_with_time_and_never_grows(self) -> None:
        """By 1/e in ten seconds; a clock behind it changes nothing."""
        members = backends([100, 100])
        made = make_balancer("peak_ewma", Drawn(0.0))
        members[0].observe_latency(0.050, 100.0)
        members[1].observe_latency(0.010, 110.0)
        for now, chosen in ((110.0, "b0"), (109.0, "b1"), (101.0, "b1"), (0.0, "b1")):
            self.assertEqual(made.choose(members, b"", now).id, chosen, now)

    def test_least_connections_prefers_the_idle(self) -> None:
        """For its weight."""
        members = backends([100, 100, 300])
        members[0].active, members[1].active, members[2].active = 3, 2, 5
        self.assertEqual(policy("least_connections", members).choose(members, b"", 0.0).id, "b2")

    def test_peak_ewma_avoids_the_slow_until_its_measurement_fades(self) -> None:
        """A single slow connect counts at once; a minute later it is forgotten."""
        members = backends([100, 100])
        members[0].observe_latency(1.0, 0.0)
        members[1].observe_latency(0.001, 0.0)
        made = policy("peak_ewma", members)
        now_ids = {made.choose(members, b"", 0.0).id for _ in range(50)}
        self.assertIn("b1", now_ids)
        self.assertNotIn("b0", {made.choose(members, b"", 0.0).id for _ in range(50)})
        members[1].observe_latency(0.5, 300.0)
        self.assertIn("b0", {made.choose(members, b"", 300.0).id for _ in range(50)})


class Drawn(random.Random):
    """A source of chance that always draws the same."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value

    def random(self) -> float:
        """The value."""
        return self.value


THIRD_PARTY_MODULE = "third_party_balancer"
THIRD_PARTY = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from netappliance.interfaces import IBalancer, IBalancerFactory

@implementer(IBalancer)
class Last:
    needs_key = False
    def set_members(self, members):
        pass
    def choose(self, backends, key, now):
        return backends[-1]

@implementer(IPlugin, IBalancerFactory)
class Factory:
    name = "last"
    def make(self, rng):
        return Last()

last = Factory()
"""


class ThirdPartyTests(SynchronousTestCase):
    """A policy of another distribution."""

    def test_a_plugin_is_selected_by_its_name(self) -> None:
        """And its choice is the cluster's, among the usable."""
        folder = Path(self.mktemp())
        folder.mkdir()
        module = f"{THIRD_PARTY_MODULE}.py"
        (folder / module).write_text(THIRD_PARTY)
        self.patch(plugins, "__path__", [*plugins.__path__, str(folder)])
        self.addCleanup(sys.modules.pop, f"{plugins.__name__}.{THIRD_PARTY_MODULE}", None)
        self.addCleanup(lambda: plugins.__dict__.pop(THIRD_PARTY_MODULE, None))
        self.assertEqual(balancer_names()[-1], "last")
        lines = "1.1.1.1:1 id=a\n1.1.1.1:2 id=b"
        cluster = Cluster(ClusterSection(name="c", backends=backend_lines(lines), balance="last"), random.Random(1))
        first, second = cluster.backends
        self.assertIs(cluster.choose(b"", 0.0), second)
        self.assertIs(cluster.choose(b"", 0.0, [second]), first)

    def test_what_a_plugin_chooses_is_looked_at(self) -> None:
        """Something else than a backend is an error that names policy and type."""

        class Odd:
            """Chooses a name."""

            needs_key = True

            def set_members(self, members: object) -> None:
                """Nothing."""

            def choose(self, backends: object, key: bytes, now: float) -> str:
                """No backend."""
                return "b"

        policy = ThirdPartyPolicy("odd", Odd())
        self.assertTrue(policy.needs_key)
        error = self.assertRaises(TypeError, policy.choose, [], b"", 0.0)
        self.assertEqual(str(error), "balance = odd chose str, not a Backend")

    def test_an_unknown_policy_is_refused_with_the_nearest_name(self) -> None:
        """At configuration, not at the first connection."""
        text = "[cluster c]\nbackends = 1.1.1.1:1\nbalance = round_robbin\n"
        errors = self.assertRaises(ConfigErrors, load, text, "x.ini", section_kinds())
        self.assertIn("did you mean 'round_robin'", str(errors))


EXPECTED = """\
rendezvous ['b0', 'b0', 'b0', 'b2', 'b0', 'b0', 'b2', 'b1', 'b0', 'b2', 'b1', 'b0']
maglev ['b0', 'b0', 'b0', 'b1', 'b1', 'b2', 'b1', 'b1', 'b1', 'b2', 'b2', 'b1']
"""


SPREAD = {"rendezvous": {"b0": 1481, "b1": 3028, "b2": 1491}, "maglev": {"b0": 1501, "b1": 2991, "b2": 1508}}


class BackendLineTests(SynchronousTestCase):
    """The lines of ``backends``."""

    def test_each_bad_line_is_named(self) -> None:
        """With what was expected."""
        for line, words in (
            ("127.0.0.1", "ADDRESS:PORT"),
            ("127.0.0.1:0", "a port from 1 to 65535"),
            ("[::1:80", "name:80"),
            ("[zz]:80", "an IPv6 address"),
            ("1.2.3:80", "127.0.0.1:80"),
            ("-bad-:80", "name:80"),
            ("unix:", "unix:PATH"),
            ("127.0.0.1:80 weight=-1", "a whole number"),
            ("127.0.0.1:80 backup=true", "yes or no in backup="),
            ("127.0.0.1:80 token=%%", "base64 in token="),
            ("127.0.0.1:80 token=", "at least one byte in token="),
            ("127.0.0.1:80 weight=1 weight=2", "weight= only once"),
            ("127.0.0.1:80 wight=1", "did you mean 'weight'?"),
        ):
            error = self.assertRaises(ValueError, backend_lines, line)
            self.assertIn(words, str(error), line)

    def test_all_bad_lines_are_told_at_once(self) -> None:
        """An operator mends a file in one go."""
        error = self.assertRaises(
            ValueError, backend_lines, "nowhere\n1.1.1.1:1 id=a\n1.1.1.1:2 wight=1\n1.1.1.1:3 id=a"
        )
        for words in ("'nowhere'", "'weight'", "an id of its own for '1.1.1.1:3 id=a'"):
            self.assertIn(words, str(error))


class FleetTests(SynchronousTestCase):
    """What policies keep for a thousand backends, against looking at each of them."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0, 4), min_size=2, max_size=12), st.lists(st.integers(0, 11), max_size=80))
    def test_least_connections_is_always_the_least(self, weights: list[int], ends: list[int]) -> None:
        """Connections come and go, one of the backends too."""
        members = backends(weights)
        made = policy("least_connections", members)
        every, fewer = tuple(members), tuple(members[1:])
        for step, end in enumerate(ends):
            usable = fewer if step % 7 > 4 else every
            chosen = made.choose(usable, b"", 0.0)
            loads = [each.active / (each.weight or 1) for each in usable]
            self.assertEqual(chosen.active / (chosen.weight or 1), min(loads))
            chosen.active += 1
            made.loaded(chosen)
            leaver = members[end % len(members)]
            if leaver.active:
                leaver.active -= 1
                made.loaded(leaver)

    def test_what_piles_up_is_bounded(self) -> None:
        """A backend nobody chooses while others come and go leaves no trail."""
        members = tuple(backends([1, 1, 1]))
        made = policy("least_connections", members)
        assert isinstance(made, LeastConnections)
        for _ in range(2000):
            made.choose(members, b"", 0.0)
            for each in members:
                made.loaded(each)
        self.assertLessEqual(len(made._heap), 8 * 3 + 64 + 4)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(1, 9), min_size=2, max_size=9))
    def test_turns_are_as_many_as_weights_say_and_apart(self, weights: list[int]) -> None:
        """In every run of as many turns as the weights add up to; give or take one."""
        members = tuple(backends(weights))
        made = policy("round_robin", members)
        total = sum(weights)
        order = [made.choose(members, b"", 0.0) for _ in range(total * 4)]
        for start in range(0, len(order) - total, max(1, total // 3)):
            counted = Counter(order[start : start + total])
            for backend in members:
                self.assertLessEqual(abs(counted[backend] - backend.weight), 1)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.integers(0, 3), min_size=1, max_size=8), st.sets(st.integers(0, 7)), st.lists(st.binary(max_size=4))
    )
    def test_rendezvous_remembers_what_drawing_would_say(
        self, weights: list[int], down: set[int], keys: list[bytes]
    ) -> None:
        """Whoever may be used."""
        members = backends(weights)
        made = policy("rendezvous", members)
        usable = tuple(each for place, each in enumerate(members) if place not in down) or tuple(members)
        for key in [*keys, *keys]:
            self.assertIs(made.choose(tuple(members), key, 0.0), drawn_for(members, key))
            self.assertIs(made.choose(usable, key, 0.0), drawn_for(usable, key))

    def test_a_new_table_is_filled_in_slices_while_the_old_one_serves(self) -> None:
        """One slice a turn; at the end it is the table that would have been made at once."""
        members = backends([100, 50, 20, 10])
        old, new = tuple(members[:3]), tuple(members)
        made = policy("maglev", old)
        before = {key: made.choose(old, key, 0.0) for key in KEYS[:200]}
        made.set_members(new)
        slices = -(-SIZE // SLICE)
        for turn in range(1, slices):
            for key in KEYS[:5]:
                self.assertIs(made.choose(new, key, float(turn)), before[key])
        made.choose(new, KEYS[0], float(slices))
        whole = policy("maglev", new)
        for key in KEYS[:200]:
            self.assertIs(made.choose(new, key, float(slices)), whole.choose(new, key, 0.0))

    def test_a_draw_for_two_falls_back_on_the_others(self) -> None:
        """Where one has all the weight, or chance repeats itself."""
        members = tuple(backends([1000000, 0, 0]))
        first, second = Draw(random.Random(3)).two(members)
        self.assertIs(first, members[0])
        self.assertIn(second, members[1:])
