"""Settings of ``twistd longterm``: where they come from and who wins."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.cli import longterm_settings
from netappliance.cli.longterm_settings import DEFAULTS, LISTEN, normalized, parse_file


def chosen(
    flags: dict[str, str] | None = None, environment: dict[str, str] | None = None, file: str = ""
) -> longterm_settings.LongTermSettings:
    """Return the settings."""
    return longterm_settings.settings(flags or {}, environment or {}, parse_file(file))


class SettingsTests(SynchronousTestCase):
    """Flag, environment variable, file, default."""

    def test_defaults_are_the_originals(self) -> None:
        """Both ports: the original documents one and listens on the other."""
        found = chosen()
        self.assertEqual((found.simple, found.tcpv6, found.port, found.duration_s), (False, True, 0, 6))
        self.assertEqual(found.listen, LISTEN)

    def test_a_flag_wins_then_the_environment_then_the_file(self) -> None:
        """For each setting by itself."""
        file = "port 1\nduration=2\nlisten 3\nsimple true\n"
        found = chosen({"port": "10"}, {"PORT": "20", "DURATION": "30"}, file)
        self.assertEqual((found.port, found.duration_s, found.listen, found.simple), (10, 30, (3,), True))

    def test_minus_one_is_every_port(self) -> None:
        """As the original has it."""
        self.assertEqual(chosen({"port": "-1"}).port, 0)

    def test_booleans_are_gos(self) -> None:
        """strconv.ParseBool."""
        for text in ("1", "t", "T", "TRUE", "true", "True"):
            self.assertTrue(chosen({"simple": text}).simple)
        for text in ("0", "f", "F", "FALSE", "false", "False"):
            self.assertFalse(chosen({"tcpv6": text}).tcpv6)

    def test_a_bad_value_names_its_origin(self) -> None:
        """Flag, variable or key."""
        for flags, environment, file, where in (
            ({"port": "x"}, {}, "", "--port"),
            ({}, {"LISTEN": "99999"}, "", "LISTEN"),
            ({}, {}, "simple maybe", "key simple"),
            ({"duration": "-3"}, {}, "", "--duration"),
        ):
            error = self.assertRaises(ValueError, chosen, flags, environment, file)
            self.assertIn(where, str(error))


class FileTests(SynchronousTestCase):
    """The file's lines."""

    def test_both_separators_and_comments(self) -> None:
        """A key alone is true."""
        text = "# all of it\nsimple true\ntcpv6=false # trailing\n\n  port\t8080\nduration = 9\n"
        self.assertEqual(parse_file(text), {"simple": "true", "tcpv6": "false", "port": "8080", "duration": "9"})
        self.assertEqual(parse_file("simple"), {"simple": "true"})

    def test_an_unknown_key_is_an_error(self) -> None:
        """It names the line and the known ones."""
        error = self.assertRaises(ValueError, parse_file, "simple\nprot 80\n")
        self.assertIn("line 2: unknown key 'prot'", str(error))

    @settings(deadline=None, max_examples=200)
    @given(st.text(max_size=100), st.sampled_from(sorted(DEFAULTS)))
    def test_anything_is_read_or_refused(self, text: str, name: str) -> None:
        """No other error than ValueError."""
        for source in (lambda: chosen(file=text), lambda: chosen({name: text}), lambda: chosen(file=f"{name} {text}")):
            try:
                source()
            except ValueError:
                pass


class NormalizedTests(SynchronousTestCase):
    """The original's spellings."""

    def test_one_dash_and_bare_booleans(self) -> None:
        """Go's flag package takes both."""
        arguments = ["-simple", "--tcpv6=false", "-port", "80", "--listen=9", "-p", "--help"]
        expected = ["--simple=true", "--tcpv6=false", "--port", "80", "--listen=9", "-p", "--help"]
        self.assertEqual(normalized(arguments), expected)
