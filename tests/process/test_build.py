"""What a build says of itself."""

from __future__ import annotations

import hashlib
import json
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.process.build import RECORD, Build, this_build

SOURCE = "netappliance/room/part.py"


class BuildTests(SynchronousTestCase):
    """A record, sources and modules that a test writes."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        (self.root / SOURCE).parent.mkdir(parents=True)
        (self.root / SOURCE).write_text("a = 1\n")

    def record(self, **record: Any) -> None:
        """As setup.py writes it."""
        (self.root / RECORD).write_text(json.dumps(record))

    def compiled(self) -> None:
        """A compiled build of what the source is now."""
        digest = hashlib.sha256((self.root / SOURCE).read_bytes()).hexdigest()
        self.record(compiled=True, why="", sources={SOURCE: digest})
        (self.root / SOURCE).with_suffix(EXTENSION_SUFFIXES[0]).touch()

    def loaded(self, loader: Any) -> Build:
        """What it says when the module was loaded so."""
        module = ModuleType("netappliance.room.part")
        module.__spec__ = ModuleSpec("netappliance.room.part", loader("netappliance.room.part", "x"))
        return this_build(self.root, {"netappliance.room.part": module})

    def test_without_a_record_it_is_pure(self) -> None:
        """Run from its sources."""
        self.assertEqual(str(this_build(self.root, {})), "pure Python")

    def test_a_pure_build_says_why(self) -> None:
        """As the build told."""
        self.record(compiled=False, why="no C compiler", sources={})
        self.assertEqual(this_build(self.root, {}), Build(compiled=False, why="no C compiler"))
        self.assertEqual(str(this_build(self.root, {})), "pure Python: no C compiler")

    def test_a_compiled_one_is_compiled_for_this_python(self) -> None:
        """The extension module is there, or loaded."""
        self.compiled()
        self.assertEqual(this_build(self.root, {}), Build(compiled=True))
        self.assertEqual(str(self.loaded(ExtensionFileLoader)), "compiled")
        (self.root / SOURCE).with_suffix(EXTENSION_SUFFIXES[0]).unlink()
        for build in (this_build(self.root, {}), self.loaded(SourceFileLoader)):
            self.assertEqual((build.compiled, SOURCE in build.why), (False, True))

    def test_a_changed_source_is_told(self) -> None:
        """And one that is gone."""
        self.compiled()
        (self.root / SOURCE).write_text("a = 2\n")
        self.assertEqual(this_build(self.root, {}), Build(compiled=True, changed=(SOURCE,)))
        self.assertIn(f"not from these sources: {SOURCE}", str(this_build(self.root, {})))
        (self.root / SOURCE).unlink()
        self.assertEqual(this_build(self.root, {}).changed, (SOURCE,))
