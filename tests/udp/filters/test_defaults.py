"""What a filter does when its section says nothing but what it must."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.ini import RawSection
from netappliance.config.schema import parse_section
from netappliance.errors import ConfigProblem
from netappliance.udp.filters import BUILTIN
from tests.udp.filters.support import section

KEY = base64.b64encode(bytes(32)).decode()
CAPTURED = "quilkin.dev/capture"


class DefaultTests(SynchronousTestCase):
    """The values of every option, as the documentation promises them."""

    def test_defaults(self) -> None:
        """Of every kind that has options."""
        expected: tuple[tuple[str, dict[str, Any]], ...] = (
            (
                "capture",
                {
                    "strategy": "suffix",
                    "size": 0,
                    "offset": 0,
                    "pattern": None,
                    "remove": False,
                    "metadata_key": CAPTURED,
                },
            ),
            ("token_router", {"metadata_key": CAPTURED}),
            ("load_balancer", {"policy": "round_robin"}),
            ("firewall", {"on_read": ()}),
            (
                "rate_limit",
                {
                    "max_packets": 0.0,
                    "max_bytes": 0,
                    "period_s": 1.0,
                    "burst": 1.0,
                    "prefix_v4": 32,
                    "prefix_v6": 64,
                    "max_clients": 65536,
                },
            ),
            ("concatenate\nbytes = aGk=", {"on_read": "nothing", "on_write": "nothing", "bytes": b"hi"}),
            ("compress", {"mode": "snappy", "on_read": "nothing", "on_write": "nothing"}),
            ("match", {"metadata_key": CAPTURED, "on_read": (), "on_write": (), "fallthrough": "drop"}),
            ("timestamp", {"metadata_key": CAPTURED}),
            ("debug", {"id": "", "max_bytes": 256}),
            (
                f"decryptor\nkey = {KEY}",
                {
                    "key": bytes(32),
                    "cipher": "chacha20_poly1305",
                    "data_key": CAPTURED,
                    "nonce_key": "quilkin.dev/nonce",
                },
            ),
        )
        for options, wanted in expected:
            made = section(f"kind = {options}")
            found = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
            self.assertEqual({**found, **wanted}, found, options)
            self.assertEqual(found["name"], "x")

    def test_what_a_section_must_say(self) -> None:
        """Its kind, and what some cannot do without."""
        required = {"concatenate": {"bytes"}, "decryptor": {"key"}, "python": {"class"}}
        for kind in BUILTIN:
            problems: list[ConfigProblem] = []
            self.assertIsNone(parse_section(kind.schema, RawSection("filter", "x", 1), problems))
            self.assertEqual({problem.why for problem in problems}, {"the key is missing"})
            keys = {problem.key for problem in problems}
            self.assertEqual(keys, {"kind"} | required.get(kind.name, set()), kind.name)

    def test_the_edges_of_numbers(self) -> None:
        """Both ends belong to what is allowed."""
        for kind, key, good, bad in (
            ("capture", "size", ("0", "65507"), ("65508",)),
            ("capture", "offset", ("0", "65507"), ("65508",)),
            ("debug", "max_bytes", ("0", "65507"), ("65508",)),
            ("rate_limit", "max_packets", ("0", "1000000000"), ("1000000001",)),
            ("rate_limit", "burst", ("0.01", "1000"), ("0.009", "1001")),
            ("rate_limit", "prefix_v4", ("0", "32"), ("33",)),
            ("rate_limit", "prefix_v6", ("0", "128"), ("129",)),
            ("rate_limit", "max_clients", ("1", "10000000"), ("0", "10000001")),
        ):
            for value in good:
                section(f"kind = {kind}\n{key} = {value}")
            for value in bad:
                refused = str(self.assertRaises(ValueError, section, f"kind = {kind}\n{key} = {value}"))
                self.assertIn(f"{key}: a bad value", refused)
                self.assertIn(f"number from {float(good[0]):g} to ", refused)
