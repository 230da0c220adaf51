"""The configuration as an operator meets it: every error at once, each named; what is printed parses again."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import ini, values
from netappliance.config.configuration import Configuration
from netappliance.config.kinds import Kinds, section_kinds
from netappliance.config.loader import load, read
from netappliance.config.schema import option
from netappliance.errors import ConfigErrors

GOOD = """
[cluster echo]
backends =
    127.0.0.1:9803 id=a   ; a comment
    ; another one
    [::1]:9804 id=b weight=50 backup=yes token=YWJj token=ZGVm
    localhost:9805
    unix:/run/x.sock id=u
[tcp echo]
listen = tcp:9000:interface=127.0.0.1, unix:/run/y.sock:mode=600
cluster = echo
"""

BROKEN = """
[appliance]
max_connections = many
acces_log = -
[cluster echo]
backends = 127.0.0.1:99999 wait=1, 127.0.0.1:1 id=a, 127.0.0.1:2 id=a
balance = maglef
[tcp echo]
listen = tls:9000
proxy_protocol = send
[tpc other]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotesSection:
    """A section that takes any lines."""

    lines: tuple[str, ...] = option(values.lines, doc="Anything.")


class NotesKind:
    """Its kind."""

    kind = "notes"
    named = False
    schema = NotesSection

    def check(self, section: NotesSection, configuration: Configuration) -> tuple[()]:
        """Nothing to check."""
        return ()


class LoaderTests(SynchronousTestCase):
    """Whole files."""

    def problems(self, text: str) -> list[str]:
        """The lines that an operator sees."""
        return str(self.assertRaises(ConfigErrors, load, text, "p.ini", section_kinds())).splitlines()

    def test_a_good_file_gives_sections_with_defaults(self) -> None:
        """Lists, comments inside lists, repeated tokens, addresses of all families."""
        configuration = load(GOOD, "p.ini", section_kinds())
        cluster = configuration.get("cluster", "echo")
        assert cluster is not None
        self.assertEqual([backend.id for backend in cluster.backends], ["a", "b", "localhost:9805", "u"])
        self.assertEqual((cluster.backends[1].tokens, cluster.backends[1].backup), ((b"abc", b"def"), True))
        self.assertEqual([bool(backend.family) for backend in cluster.backends], [True, True, False, True])
        self.assertEqual(configuration.appliance.max_connections, 10000)
        self.assertEqual(configuration.sections("tcp")[0].idle_timeout_s, 60.0)

    def test_every_error_is_reported_at_once_with_line_section_and_key(self) -> None:
        """Ten slips of the finger, ten answers."""
        expected = (
            ("p.ini: [appliance] max_connections: a bad value (got 'many'; expected a whole number from 1",),
            ("p.ini: [appliance] acces_log: unknown key; did you mean 'access_log'?",),
            ("p.ini: [cluster echo] backends: a bad value", "a port from 1 to 65535", "an id of its own"),
            ("p.ini: [cluster echo] balance: a bad value (got 'maglef'", "did you mean 'maglev'?"),
            ("p.ini: [tcp echo] cluster: the key is missing",),
            ("p.ini: [tcp echo] listen: a bad value (got 'tls:9000'",),
            ("p.ini: [tcp echo] proxy_protocol: a bad value", "none | expect | send_v1 | send_v2 | relay"),
            ("p.ini: [tpc other] unknown section; did you mean 'tcp'?",),
        )
        lines = self.problems(BROKEN)
        self.assertEqual(len(lines), len(expected), lines)
        numbers = [int(re.search(r"line (\d+)\)$", line)[1]) for line in lines]  # type: ignore[index]
        self.assertEqual(numbers, [3, 4, 6, 7, 8, 9, 10, 11])
        for line, parts in zip(lines, expected, strict=True):
            for part in parts:
                self.assertIn(part, line)

    def test_references_and_addresses_are_checked_across_sections(self) -> None:
        """An unknown cluster with a suggestion, an address that is taken, a key that TCP cannot have."""
        lines = self.problems(
            GOOD.replace("cluster = echo", "cluster = ecko")
            + "[cluster web]\nbackends = 127.0.0.1:1\nbalance_key = header:X\n"
            + "[tcp two]\nlisten = tcp:9000\ncluster = web\n"
        )
        self.assertEqual(len(lines), 3, lines)
        self.assertIn(
            "[tcp echo] cluster: no such cluster; did you mean 'echo'? (got 'ecko'; expected echo, web; line 11)",
            lines[0],
        )
        self.assertIn("[cluster web] balance_key: [tcp two] has no requests to take it from", lines[1])
        self.assertIn("[tcp two] listen: the address is used by [tcp echo] already (got 'tcp:9000'", lines[2])

    def test_wildcards_collide_and_families_and_transports_do_not(self) -> None:
        """What the kernel would say, said before the start."""
        service = "[tcp {}]\ncluster = c\nlisten = {{}}\n"
        template = "[cluster c]\nbackends = 127.0.0.1:1\n" + service.format("a") + service.format("b")
        for first, second, collide in (
            ("tcp:80", "tcp:80:interface=127.0.0.1", True),
            ("tcp:80:interface=127.0.0.1", "tcp:80:interface=127.0.0.2", False),
            ("tcp6:80", "tcp:80", True),
            ("tcp:80:interface=\\:\\:1", "tcp:80", False),
            ("tcp:0", "tcp:0", False),
            ("unix:/a", "unix:/a", True),
            ("unix:/a", "unix:/b", False),
        ):
            text = template.format(first, second)
            if collide:
                self.assertEqual(len(self.problems(text)), 1, text)
            else:
                load(text, "p.ini", section_kinds())

    def test_what_is_printed_parses_to_the_same_sections(self) -> None:
        """The effective configuration is a configuration."""
        configuration = load(GOOD, "p.ini", section_kinds())
        again = load(configuration.text(), "p.ini", section_kinds())
        self.assertEqual(again.parsed, configuration.parsed)
        self.assertEqual(again.text(), configuration.text())

    def test_values_that_begin_like_comments_survive_printing(self) -> None:
        """Without white space before it ``;`` or ``#`` is a character, in the printed file too."""
        for value in (";x", "#x", "a;b"):
            first = load(f"[appliance]\naccess_log ={value}\n", "p.ini", section_kinds())
            again = load(first.text(), "p.ini", section_kinds())
            self.assertEqual((first.appliance.access_log, again.appliance.access_log), (value, value))

    @settings(deadline=None, max_examples=150)
    @given(st.lists(st.text(alphabet=";# =[]a,\\", max_size=6), min_size=1, max_size=4))
    def test_whatever_the_text_of_a_value_printing_keeps_it(self, lines: list[str]) -> None:
        """For every option of every file that is accepted."""
        kinds = Kinds([*section_kinds().values(), NotesKind()])
        text = "[notes]\nlines =" + "\n    ".join(lines) + "\n"
        first = load(text, "p.ini", kinds)
        self.assertEqual(load(first.text(), "p.ini", kinds).parsed, first.parsed)

    def test_names_are_asked_for_where_they_belong(self) -> None:
        """[tcp] without one, [appliance] with one."""
        lines = self.problems("[tcp]\nlisten = tcp:1\n[appliance x]\n")
        self.assertIn("[tcp] the section needs a name (expected [tcp NAME]; line 1)", lines[0])
        self.assertIn("[appliance x] the section has no name (expected [appliance]; line 3)", lines[1])

    @settings(deadline=None, max_examples=150)
    @given(st.text(alphabet=st.sampled_from("[]=;# \n\tabtcpluser0:.,-\\\"'é\x0b\x85"), max_size=200))
    def test_arbitrary_text_raises_nothing_but_config_errors(self, text: str) -> None:
        """The parser is total."""
        try:
            self.assertIsInstance(load(text, "p.ini", section_kinds()), Configuration)
        except ConfigErrors as errors:
            self.assertTrue(errors.problems)

    @settings(deadline=None, max_examples=150)
    @given(
        st.sampled_from(sorted(["listen", "idle_timeout", "backlog", "reuse_port", "cluster", "proxy_protocol"])),
        st.text(),
    )
    def test_arbitrary_values_raise_nothing_but_config_errors(self, key: str, value: str) -> None:
        """Each converter is total."""
        try:
            load(f"[cluster echo]\nbackends = {value}\n[tcp a]\n{key} = {value}\n", "p.ini", section_kinds())
        except ConfigErrors as errors:
            self.assertTrue(all(problem.render("f").count("\n") == 0 for problem in errors.problems))


class FileTests(SynchronousTestCase):
    """Files that are no configuration."""

    def setUp(self) -> None:
        self.path = Path(mkdtemp()) / "p.ini"

    def refusal(self) -> str:
        """What the operator is told."""
        return str(self.assertRaises(ConfigErrors, read, self.path, section_kinds()))

    def test_missing_directory_empty_binary_and_oversized(self) -> None:
        """Each with its own words."""
        self.assertIn("cannot read the file: No such file or directory", self.refusal())
        self.path.mkdir()
        self.assertIn("Is a directory", self.refusal())
        self.path.rmdir()
        for content, words in (
            (b"", "the file has no section"),
            (b"[appliance]\n\0", "p.ini: a NUL byte: this is no text file (line 2)"),
            (b"[appliance]\n# \xff\n", "p.ini: byte 0xff is not UTF-8 (line 2)"),
            (b"[appliance]\nx = " + b"y" * 1024 * 1024, "the line has 1048580 characters"),
            (b"#" * (ini.MAX_FILE + 1), f"expected at most {ini.MAX_FILE}"),
            (b"[appliance]\n[appliance]\n", "the section is there already, in line 1"),
            (b"[appliance]\nlog_format = text\nlog_format = json\n", "the key is there already, in line 2"),
            (b"x = 1\n", "a key before the first section"),
            (b"[appliance\n", "not a section"),
            (b"[appliance]\njust words\n", "neither a section nor a key"),
            (b"[appliance]\nlog_format = \x1b[31m\n", "control character 0x1b"),
        ):
            self.path.write_bytes(content)
            self.assertIn(words, self.refusal())


THIRD_PARTY = """
from dataclasses import dataclass
from twisted.application.service import Service
from twisted.plugin import IPlugin
from zope.interface import implementer
from netappliance.config import values
from netappliance.config.schema import option
from netappliance.interfaces import IServiceKind

@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconSection:
    name: str
    every_s: float = option(values.duration, "5s", key="every", unit="duration", doc="How often.")

@implementer(IPlugin, IServiceKind)
class BeaconKind:
    kind = "beacon"
    named = True
    stage = "support"
    schema = BeaconSection
    def check(self, section, configuration):
        return ()
    def make_service(self, section, appliance):
        service = Service()
        service.section = section
        return service

beacon = BeaconKind()
"""


class PluginTests(SynchronousTestCase):
    """A section kind of another distribution."""

    def test_a_third_party_section_kind_is_found_checked_and_built(self) -> None:
        """A file in netappliance/plugins of any folder on the path is enough."""
        from netappliance import plugins

        folder = Path(mkdtemp())
        package = folder / "netappliance" / "plugins"
        package.mkdir(parents=True)
        (package / "beacon_plugin.py").write_text(THIRD_PARTY)
        plugins.__path__.append(str(package))
        sys.path.append(str(folder))
        self.addCleanup(sys.path.remove, str(folder))
        self.addCleanup(plugins.__path__.remove, str(package))
        self.addCleanup(sys.modules.pop, "netappliance.plugins.beacon_plugin", None)
        kinds = section_kinds()
        configuration = load("[beacon a]\nevery = 7s\n", "p.ini", kinds)
        service = kinds["beacon"].make_service(configuration.get("beacon", "a"), None)
        self.assertEqual(service.section.every_s, 7.0)
        errors = self.assertRaises(ConfigErrors, load, "[beacon a]\nevry = 7s\n", "p.ini", kinds)
        self.assertIn("did you mean 'every'?", str(errors))
