"""The section as a whole file has it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from prometheus_client.core import Metric
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from netappliance.acme.collector import PREFIX
from netappliance.acme.kind import AcmeKind
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.process.appliance import Appliance
from tests.certificates import Authority

HTTP = "[http web]\nlisten = tcp:8080\n"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


class CheckTests(SynchronousTestCase):
    """What a configuration error says."""

    def problems(self, text: str, rest: str = HTTP) -> list[str]:
        """Return what is wrong with a file."""
        try:
            load(f"[acme]\n{text}\n{rest}", "f", section_kinds())
        except ConfigErrors as errors:
            return [problem.render("f") for problem in errors.problems]
        return []

    def test_one_line_is_enough(self) -> None:
        """All else has a default."""
        self.assertEqual(self.problems("names = example.org"), [])

    def test_names_are_required_and_judged(self) -> None:
        """With what was expected."""
        self.assertEqual(self.problems(""), ["f: [acme] names: the key is missing (expected names; line 1)"])
        (problem,) = self.problems("names = *.example.org")
        self.assertIn("[acme] names: a bad value (got '*.example.org'; expected names without a wildcard", problem)

    def test_somebody_must_answer(self) -> None:
        """Without a listener no name can be proven."""
        (problem,) = self.problems("names = example.org", "")
        self.assertIn("[acme] challenge: nobody would answer: there is no [http NAME] section", problem)
        plain = "[cluster c]\nbackends = 127.0.0.1:1\n[tcp x]\nlisten = tcp:9000\ncluster = c\n"
        (problem,) = self.problems("names = example.org\nchallenge = tls-alpn-01", plain + HTTP)
        self.assertIn("[acme] challenge: nobody would answer: there is no [https NAME] section, nor a [tcp", problem)

    def test_a_bundle_is_read(self) -> None:
        """A missing one and garbage are errors; a good one is none."""
        folder = Path(tempfile.mkdtemp(prefix="acme"))
        good, bad = folder / "good", folder / "bad"
        Authority().write(good)
        bad.write_text("garbage")
        self.assertEqual(self.problems(f"names = example.org\nca = {good}"), [])
        for path, why in ((bad, "PEM certificates"), (folder / "none", "No such file")):
            (problem,) = self.problems(f"names = example.org\nca = {path}")
            self.assertIn("[acme] ca: a bundle that cannot be used", problem)
            self.assertIn(why, problem)

    def test_a_binding_has_two_parts(self) -> None:
        """And its key is not repeated in an error."""
        secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
        self.assertEqual(self.problems(f"names = example.org\neab_key_id = a\neab_secret = {secret}"), [])
        (problem,) = self.problems("names = example.org\neab_key_id = a")
        self.assertIn("[acme] eab_secret: the two belong together", problem)
        (problem,) = self.problems(f"names = example.org\neab_secret = {secret}")
        self.assertIn("[acme] eab_key_id: the two belong together", problem)
        for bad in (f"{secret}!", secret[:5], f"{secret}A"):
            (problem,) = self.problems(f"names = example.org\neab_key_id = a\neab_secret = {bad}")
            self.assertNotIn(bad, problem)

    def test_values_that_cannot_be(self) -> None:
        """Directories without TLS, addresses that are none, a challenge that there is none of, no time at all."""
        bad = {
            "directory": ("http://ca.example/", "https://", "https://user@ca.example/", "https://ca.example/#x", "x"),
            "email": ("root", "a@b@c", "a@b, c@d", "mailto:a@b"),
            "challenge": ("dns-01", ""),
            "key_type": ("ed25519",),
            "profile": ("short lived", "a/b", "a" * 65),
            "retry_interval": ("0",),
            "order_timeout": ("0",),
        }
        for key, values in bad.items():
            for value in values:
                (problem,) = self.problems(f"names = example.org\n{key} = {value}")
                self.assertIn(f"[acme] {key}: a bad value", problem)


class ServiceTests(SynchronousTestCase):
    """What the kind builds."""

    def test_the_service_has_a_page_and_metrics(self) -> None:
        """And a name at the manhole's prompt; every family is documented. Nothing happens before the start."""
        clock = Clock()
        text = f"[acme]\nnames = example.org\nstore = /nowhere/acme\n{HTTP}"
        appliance = Appliance(load(text, "f", section_kinds()), clock, clock.seconds)
        self.addCleanup(appliance.poller.stop)
        (section,) = appliance.configuration.sections("acme")
        service = AcmeKind().make_service(section, appliance)
        self.assertIs(appliance.prompt["acme"], service)
        self.assertEqual(list(appliance.pages), ["/acme", "/acme/*"])
        families: list[Metric] = [family for each in appliance.collectors for family in each.collect()]
        for family in families:
            name = f"acme_{family.name.removeprefix(PREFIX)}" + ("_total" if family.type == "counter" else "")
            (row,) = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}` | {family.type} |")]
            for sample in family.samples:
                self.assertTrue(all(label in row for label in sample.labels))
        self.assertEqual(len(families), 6)
