"""The example of docs/plugins.md runs as it is printed there."""

from __future__ import annotations

import re
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.http.filters import Resources, build_filters
from netappliance.http.filters.chain import RequestChain
from tests.http.filters.support import exchange, response

DOCUMENT = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
PART = DOCUMENT[DOCUMENT.index("## A request filter") : DOCUMENT.index("## A section kind")]


class DocumentTests(SynchronousTestCase):
    """## A request filter."""

    def build(self) -> tuple[RequestChain, Any]:
        """The example's class in the example's section."""
        (code,) = re.findall(r"```python\n(.*?)```", PART, re.DOTALL)
        (section,) = re.findall(r"^    \[filter key\]\n(?:    .*\n)+", PART, re.MULTILINE)
        package, module = types.ModuleType("shop"), types.ModuleType("shop.filters")
        exec(compile(code, "docs/plugins.md", "exec"), module.__dict__)
        for made in (package, module):
            sys.modules[made.__name__] = made
            self.addCleanup(sys.modules.pop, made.__name__)
        configuration = load(textwrap.dedent(section), "docs/plugins.md", section_kinds())
        filters = build_filters(["key"], configuration, Resources(None, 0.0))  # type: ignore[arg-type]
        return RequestChain(filters), filters[0][1]

    def test_a_known_key_gets_in_and_the_backend_is_told_whose_it_is(self) -> None:
        """The key itself goes no further."""
        chain, made = self.build()
        seen = exchange(b"/api/x", b"A: b", b"x-api-key: 91ab", b"X-Owner: root")
        self.assertIsNone(chain.request(seen))
        self.assertEqual(seen.request.lines, [b"A: b", b"X-Owner: bob"])
        self.assertEqual(seen.notes, {"owner": "bob"})
        given = response(b"X-Served-By: theirs")
        self.assertIsNone(chain.response(seen, given))
        self.assertEqual(given.lines, [b"X-Served-By: web"])
        self.assertEqual(made.figures(), {"passed": 1, "refused": 0})

    def test_others_are_refused(self) -> None:
        """No key, and a wrong one; nothing raises."""
        chain, made = self.build()
        for lines in ((), (b"X-Api-Key: 0000",)):
            answer = chain.request(exchange(b"/api/x", *lines))
            assert answer is not None
            self.assertEqual((answer.status, answer.filter), (403, "key"))
        self.assertEqual((made.figures(), chain.counters["key"].errors), ({"passed": 0, "refused": 2}, 0))

    def test_nothing_it_has_no_method_for_is_called(self) -> None:
        """The rest of the base class costs nothing."""
        chain, _ = self.build()
        self.assertEqual((chain.has_request, chain.has_response, chain.has_finished), (True, True, False))
