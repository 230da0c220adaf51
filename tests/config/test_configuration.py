"""What a file says: sections in its order, defaults filled in, and printed so that it parses again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.configuration import Configuration
from netappliance.config.ini import RawSection, parse
from netappliance.config.kinds import Kinds, section_kinds
from netappliance.config.loader import endpoints_of, load
from netappliance.errors import ConfigErrors, ConfigProblem

TEXT = """
[cluster two]
backends = 127.0.0.1:2
[cluster one]
backends = 127.0.0.1:1
[tcp t]
listen =
    tcp:9000:interface=127.0.0.1
    unix:/run/x
cluster = two
"""


def loaded(text: str) -> Configuration:
    """A good file."""
    return load(text, "p.ini", section_kinds())


class ConfigurationTests(SynchronousTestCase):
    """Sections and their text."""

    def test_sections_are_found_by_kind_and_name(self) -> None:
        """In the order of the file; what is not there is None."""
        configuration = loaded(TEXT)
        self.assertEqual([section.name for section in configuration.sections("cluster")], ["two", "one"])
        self.assertEqual(configuration.sections("udp"), ())
        one = configuration.get("cluster", "one")
        assert one is not None
        self.assertEqual(
            (one.name, configuration.get("cluster"), configuration.get("cluster", "x")), ("one", None, None)
        )
        self.assertIs(configuration.get("appliance"), configuration.appliance)
        self.assertEqual(configuration.filename, "p.ini")

    def test_defaults_of_the_appliance_are_in_force_without_its_section(self) -> None:
        """And printed; a file that has one is printed in its order."""
        titles = [title for title, _ in loaded(TEXT).effective()]
        self.assertEqual(titles, ["cluster two", "cluster one", "tcp t", "appliance"])
        appliance = loaded(TEXT).appliance
        limits = (appliance.max_connections, appliance.accept_queue_size, appliance.accept_queue_timeout_s)
        self.assertEqual(limits, (10000, 1024, 60.0))
        times = (appliance.zombie_check_interval_s, appliance.shutdown_grace_s)
        self.assertEqual(times, (1800.0, 30.0))
        logs = (appliance.log_format, appliance.log_level, appliance.access_log, appliance.access_log_format)
        self.assertEqual(logs, ("text", "info", "-", "json"))
        self.assertEqual((appliance.access_log_buffer, appliance.observers), (1048576, ()))
        first, *_ = loaded("[appliance]\nlog_level = warn\n" + TEXT).effective()
        self.assertEqual(dict(first[1])["log_level"], "warn")

    def test_the_words_and_edges_of_the_appliance(self) -> None:
        """Each word of a choice, both ends of a number."""
        for key, values in (
            ("log_format", ("text", "json")),
            ("log_level", ("debug", "info", "warn", "error")),
            ("access_log_format", ("json", "common")),
            ("max_connections", ("1", "10000000")),
            ("accept_queue_size", ("1", "1000000")),
            ("accept_queue_timeout", ("0", "1s")),
            ("zombie_check_interval", ("0", "1s")),
            ("shutdown_grace", ("0", "1s")),
            ("access_log", ("none", "-", "/x")),
        ):
            for value in values:
                loaded(f"[appliance]\n{key} = {value}\n")
        for key, value in (
            *(("max_connections", "0"), ("max_connections", "10000001"), ("accept_queue_size", "0")),
            *(("accept_queue_size", "1000001"), ("log_level", "warning"), ("log_format", "xml")),
        ):
            errors = self.assertRaises(ConfigErrors, loaded, f"[appliance]\n{key} = {value}\n")
            self.assertIn(f"[appliance] {key}: a bad value (got '{value}'", str(errors))

    def test_the_printed_text(self) -> None:
        """Several lines are indented; empty values have no white space behind them; sections are apart."""
        configuration = Configuration(
            "f", {}, (("a b", (("x", "1"), ("y", "2\n3"), ("z", ""), ("w", ";4"))), ("c", ()))
        )
        self.assertEqual(configuration.text(), "[a b]\nx = 1\ny =\n    2\n    3\nz =\nw =;4\n\n[c]\n")

    def test_endpoints_of_a_section(self) -> None:
        """By the key that they stand under."""
        section = loaded(TEXT).get("tcp", "t")
        self.assertEqual([(key, each.text) for key, each in endpoints_of(section)], [
            ("listen", "tcp:9000:interface=127.0.0.1"), ("listen", "unix:/run/x"),
        ])  # fmt: skip


class PlaceTests(SynchronousTestCase):
    """Where a problem is said to be."""

    def complaints(self, text: str, *kinds: object) -> list[str]:
        """What an operator sees."""
        found = Kinds([*section_kinds().values(), *kinds])
        return str(self.assertRaises(ConfigErrors, load, text, "p.ini", found)).splitlines()

    def test_problems_of_checks_have_the_line_of_their_key_or_section(self) -> None:
        """A section without the key has its own line."""
        lines = self.complaints("[cluster c]\nbackends = 127.0.0.1:1\n[tcp a]\nlisten = tcp:1\ncluster = d\n")
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].startswith("p.ini: [tcp a] cluster: no such cluster"), lines[0])
        self.assertTrue(lines[0].endswith("line 5)"), lines[0])

        class Checked:
            kind = "checked"
            named = True
            schema = type(loaded("[cluster c]\n").get("cluster", "c"))

            def check(self, section: object, configuration: Configuration) -> list[ConfigProblem]:
                return [
                    ConfigProblem("checked x", "balance", "of the section"),
                    ConfigProblem("checked x", "retries", "of the key"),
                    ConfigProblem("nowhere", "", "of the file"),
                    ConfigProblem("checked x", "retries", "of its own", line=77),
                ]

        lines = self.complaints("\n[checked x]\nretries = 1\n", Checked())
        self.assertEqual(
            lines,
            [
                "p.ini: [nowhere] of the file",
                "p.ini: [checked x] balance: of the section (line 2)",
                "p.ini: [checked x] retries: of the key (line 3)",
                "p.ini: [checked x] retries: of its own (line 77)",
            ],
        )

    def test_a_kind_may_choose_its_schema_by_the_section(self) -> None:
        """Or say what is wrong with it."""

        class Chosen:
            kind = "chosen"
            named = False
            schema = None

            def schema_for(self, raw: RawSection) -> object:
                if "retries" in raw.options:
                    return ConfigProblem(raw.title, "retries", "not here", line=raw.line)
                return type(loaded("[appliance]\n").appliance)

            def check(self, section: object, configuration: Configuration) -> tuple[()]:
                return ()

        kinds = Kinds([*section_kinds().values(), Chosen()])
        found = load("[chosen]\nlog_level = warn\n", "p.ini", kinds).get("chosen")
        assert found is not None
        self.assertEqual(found.log_level, "warn")
        lines = self.complaints("[chosen]\nretries = 1\n", Chosen())
        self.assertEqual(lines, ["p.ini: [chosen] retries: not here (line 1)"])

    def test_problems_of_a_section_that_is_not_in_the_file_have_no_line(self) -> None:
        """One that is always in force."""

        class Always:
            kind = "always"
            named = False
            always = True
            schema = type(section_kinds()["tcp"].schema(name="x", listen=(), cluster="c"))

            def check(self, section: object, configuration: Configuration) -> tuple[()]:
                return ()

        for line in self.complaints("[appliance]\n", Always()):
            self.assertTrue(line.startswith("p.ini: [always] "), line)
            self.assertNotIn("line", line)

    def test_which_names_are_wanted(self) -> None:
        """The list of known sections says which have a name."""
        lines = self.complaints("[nothing]\n[cluster]\n[appliance x]\n")
        self.assertIn("[nothing] unknown section", lines[0])
        for words in ("[appliance], ", "[cluster NAME], ", "[tcp NAME]"):
            self.assertIn(words, lines[0])
        self.assertEqual(lines[1], "p.ini: [cluster] the section needs a name (expected [cluster NAME]; line 2)")
        self.assertEqual(lines[2], "p.ini: [appliance x] the section has no name (expected [appliance]; line 3)")

    def test_addresses_that_are_taken(self) -> None:
        """Each is told once, by the one that comes later, with the section that has it."""
        cluster = "[cluster c]\nbackends = 127.0.0.1:1\n"
        service = "[{}]\nlisten = {}\ncluster = c\n"
        text = cluster + service.format("tcp a", "tcp:80, tcp:80:interface=127.0.0.1, tcp:81")
        lines = self.complaints(text + service.format("tcp b", "tcp:80"))
        self.assertEqual(len(lines), 2)
        self.assertIn(
            "[tcp a] listen: the address is used by [tcp a] already (got 'tcp:80:interface=127.0.0.1'", lines[0]
        )
        self.assertIn(
            "[tcp b] listen: the address is used by [tcp a] already (got 'tcp:80'; expected an address of", lines[1]
        )
        load(cluster + service.format("tcp a", "tcp:80") + service.format("udp a", "udp:80"), "p.ini", section_kinds())
        udp = cluster + service.format("udp a", "udp:80") + service.format("udp b", "udp:80")
        self.assertIn("[udp b] listen: the address is used by [udp a] already", self.complaints(udp)[0])

    def test_broken_sections_are_not_checked_against_each_other(self) -> None:
        """That would only repeat what is said already."""
        lines = self.complaints("[cluster c]\nretries = 0\n[tcp a]\nlisten = tcp:1\ncluster = c\n")
        self.assertEqual([line.split(":")[1] for line in lines], [" [cluster c] retries"])


class ParsedTests(SynchronousTestCase):
    """Kinds among each other."""

    def test_only_services_that_are_used_run(self) -> None:
        """A cluster alone runs nothing."""
        kinds = section_kinds()
        self.assertEqual([kind.kind for kind in kinds.services(loaded(TEXT))], ["tcp"])
        self.assertEqual(len(kinds), len(list(kinds)))
        self.assertEqual(list(kinds), sorted(kinds))
        self.assertEqual(parse("")[0], [])
