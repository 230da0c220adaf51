"""The contract of section kinds; what ``make_service`` builds is tested with what it needs."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from typing import Any

from twisted.plugin import IPlugin

from netappliance.config.configuration import Configuration
from netappliance.config.kinds import Kinds, section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors
from netappliance.interfaces import IServiceKind
from netappliance.testing.promises import promise


class SectionKindContract:
    """Override :meth:`make`; :meth:`good_text` where a section needs keys, or other sections."""

    def make(self) -> Any:
        """Return the plug-in."""
        raise NotImplementedError

    def good_text(self) -> str:
        """Return a file without mistakes that ends with a section of the kind."""
        made = self.make()
        return f"[{made.kind}{' one' if made.named else ''}]\n"

    def load(self, text: str) -> Configuration:
        """
        Load a file with sections of the kind and of those that are installed.

        :raises ConfigErrors: as the appliance would.
        """
        made = self.make()
        others = [kind for kind in section_kinds().values() if kind.kind != made.kind]
        return load(text, "test.ini", Kinds([*others, made]))

    def test_it_can_be_found_and_named(self) -> None:
        """As a plug-in of Twisted's, by the word in the brackets; what runs something says when it starts."""
        made = self.make()
        promise(IPlugin.providedBy(made), f"{type(made).__name__} provides twisted.plugin.IPlugin")
        promise(bool(re.fullmatch("[a-z0-9_]+", made.kind)), f"kind is a word in lower case, not {made.kind!r}")
        promise(isinstance(made.named, bool), f"named is a bool, not {made.named!r}")
        if IServiceKind.providedBy(made):
            promise(made.stage in ("admin", "support", "traffic"), f"stage is known, not {made.stage!r}")
            promise(callable(getattr(made, "make_service", None)), "it has make_service")

    def test_its_sections_are_values(self) -> None:
        """Equal text makes equal sections, which nothing changes."""
        made = self.make()
        sections = self.load(self.good_text()).sections(made.kind)
        promise(bool(sections), f"good_text has a section of {made.kind}")
        promise(sections == self.load(self.good_text()).sections(made.kind), "equal text makes equal sections")
        for each in sections:
            frozen = is_dataclass(each) and vars(type(each))["__dataclass_params__"].frozen
            promise(frozen, f"{type(each).__name__} is a frozen dataclass")

    def test_what_check_prints_is_the_same_configuration(self) -> None:
        """All defaults are texts that their converters take."""
        configuration = self.load(self.good_text())
        again = self.load(configuration.text())
        promise(again.parsed == configuration.parsed, "the effective configuration makes the same sections")

    def test_an_unknown_key_is_told(self) -> None:
        """Like ours, with the place in the file."""
        try:
            self.load(f"{self.good_text()}\nno_such_key = 1\n")
        except ConfigErrors as error:
            promise("no_such_key: unknown key" in str(error), f"it is told as such: {error}")
        else:
            promise(kept=False, what="an unknown key is an error")
