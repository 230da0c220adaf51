"""Documentation and shipped file say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config import ini
from netappliance.config.document import document, missing_keys, schema_of, schemas_of
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.config.schema import options_of
from tests.certificates import Authority

ROOT = Path(__file__).resolve().parents[2]


class DocumentTests(SynchronousTestCase):
    """docs/configuration.md and etc/proxy.ini."""

    def shipped(self) -> str:
        """The shipped file, with its commented-out sections."""
        text = (ROOT / "etc" / "proxy.ini").read_text()
        return re.sub(r"^;(?=\[|[a-z0-9_]+ =)", "", text, flags=re.MULTILINE)

    def test_the_page_is_current(self) -> None:
        """`make docs` writes it."""
        self.assertEqual((ROOT / "docs" / "configuration.md").read_text(), document(section_kinds()))

    def test_every_key_has_a_meaning(self) -> None:
        """None of them undocumented."""
        kinds = section_kinds()
        for kind in kinds:
            for _, schema in schemas_of(kinds[kind]):
                for option in options_of(schema):
                    self.assertTrue(option.doc, f"[{kind}] {option.key}")

    def test_the_shipped_file_has_every_key_with_its_default(self) -> None:
        """But for those that are marked as the demo's."""
        kinds, text = section_kinds(), self.shipped()
        folder = Path(self.mktemp())
        folder.mkdir()
        Authority().leaf("localhost").write(folder / "localhost.pem")
        load(text.replace("certificates = var/tls ", f"certificates = {folder} "), "etc/proxy.ini", kinds)
        self.assertEqual(missing_keys(text, kinds), [])
        lines = text.split("\n")
        raws, _ = ini.parse(text)
        for raw in raws:
            for option in options_of(schema_of(kinds[raw.kind], raw)):
                given = raw.options[option.key]
                marked = any("; demo" in line for line in lines[given.line - 1 : given.line + len(given.lines)])
                if not marked:
                    self.assertEqual(given.text, option.default, f"[{raw.title}] {option.key}")

    def test_every_kind_that_can_run_is_in_the_shipped_file(self) -> None:
        """A reader of the file sees all there is."""
        raws, _ = ini.parse(self.shipped())
        self.assertEqual({raw.kind for raw in raws}, set(section_kinds()))
