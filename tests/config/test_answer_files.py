"""PageTemplate files of answers: what may be configured, what may stand in a file."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netappliance.config.answer_files import (
    MAX_TEMPLATE,
    PLACEHOLDERS,
    AnswerFile,
    PageTemplate,
    answer_files,
    load_templates,
)
from netappliance.config.kinds import section_kinds
from netappliance.config.loader import load
from netappliance.errors import ConfigErrors

HTML = b"text/html"


class KeyTests(SynchronousTestCase):
    """``answers``."""

    def test_a_line_names_status_and_file(self) -> None:
        """The extension says what it is; several of one status stand side by side."""
        self.assertEqual(
            answer_files("503 = pages/503.html\n503=pages/503.json\n404 = my page.TXT"),
            (
                AnswerFile(503, "pages/503.html", HTML),
                AnswerFile(503, "pages/503.json", b"application/json"),
                AnswerFile(404, "my page.TXT", b"text/plain"),
            ),
        )
        self.assertEqual(answer_files(""), ())

    def test_what_cannot_be_is_refused_by_name(self) -> None:
        """Status, file type, repetition, shape."""
        for text, word in (
            ("200 = a.html", "200"),
            ("999 = a.html", "999"),
            ("503 = a.php", "a.php"),
            ("503 = a.html\n503 = b.html", "503"),
            ("503", "STATUS"),
            ("503 =", "STATUS"),
        ):
            self.assertIn(word, str(self.assertRaises(ValueError, answer_files, text)))


class TemplateTests(SynchronousTestCase):
    """Placeholders."""

    def render(self, text: str, media: bytes = HTML, hole: str = "-", **fields: str) -> str:
        """The pieces, joined by H."""
        return "H".join(PageTemplate(text, media).pieces(fields, hole))

    def test_placeholders_are_filled_and_absent_values_are_empty(self) -> None:
        """Both spellings, and dollar signs that are none."""
        text = "$status ${reason}x $$5 $( $1 $backend|"
        self.assertEqual(self.render(text, status="503", reason="R"), "503 Rx $5 $( $1 |")

    def test_an_unknown_placeholder_is_an_error_that_lists_the_known(self) -> None:
        """So that no page shows $cause to the public."""
        for text in ("$cause", "${cause}", "${}", "${why }"):
            error = str(self.assertRaises(ValueError, PageTemplate, text, HTML))
            for name in PLACEHOLDERS:
                self.assertIn(f"${name}", error)

    def test_values_are_escaped_for_their_place(self) -> None:
        """HTML, JSON, text."""
        value = '<a href="x">\'&\n'
        self.assertEqual(self.render("$why", why=value), "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;\n")
        self.assertEqual(self.render('"$why"', b"application/json", why=value), '"<a href=\\"x\\">\'&\\n"')
        self.assertEqual(self.render("$why", b"text/plain", why="a\r\nb\x1b[1m"), "a\ufffd\ufffdb\ufffd[1m")

    def test_a_value_that_looks_like_a_placeholder_is_text(self) -> None:
        """One pass only."""
        self.assertEqual(self.render("$why", why="$status", status="503"), "$status")

    def test_the_hole_splits_the_body(self) -> None:
        """As often as it occurs."""
        self.assertEqual(self.render("a $request_id b $request_id", hole="request_id"), "a H b H")

    @given(st.text(max_size=60), st.text(max_size=20))
    @settings(deadline=None, max_examples=200)
    def test_any_text_renders_or_is_refused(self, text: str, value: str) -> None:
        """And what is left of a dollar-free text is the text."""
        try:
            made = PageTemplate(text, HTML)
        except ValueError:
            self.assertIn("$", text)
            return
        out = "".join(made.pieces(dict.fromkeys(PLACEHOLDERS, value), "-"))
        if "$" not in text:
            self.assertEqual(out, text)


class LoadTests(SynchronousTestCase):
    """Files."""

    def test_files_become_templates(self) -> None:
        """By status and type."""
        path = Path(self.mktemp()).with_suffix(".html")
        path.write_text("<p>$status</p>")
        loaded = load_templates(answer_files(f"503 = {path}"))
        self.assertEqual(loaded[503, HTML].pieces({"status": "503"}, "-"), ["<p>503</p>"])

    def test_every_unusable_file_is_named(self) -> None:
        """All at once: missing, too large, not text, a placeholder that there is none of."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "large.html").write_bytes(b"x" * (MAX_TEMPLATE + 1))
        (folder / "binary.html").write_bytes(b"\xff")
        (folder / "odd.html").write_text("$nope")
        lines = (
            f"400 = {folder}/none.html\n401 = {folder}/large.html\n403 = {folder}/binary.html\n404 = {folder}/odd.html"
        )
        error = str(self.assertRaises(ValueError, load_templates, answer_files(lines)))
        for word in ("none.html: No such file", f"large.html: more than {MAX_TEMPLATE} bytes", "0xff", "$nope is none"):
            self.assertIn(word, error)


class ClusterTests(SynchronousTestCase):
    """``answers`` of a cluster."""

    def test_an_unusable_file_ends_the_check_with_its_name(self) -> None:
        """Before anything starts."""
        text = "[cluster web]\nbackends = 127.0.0.1:1\nanswers = 503 = /no/such.html\n"
        error = self.assertRaises(ConfigErrors, load, text, "f.ini", section_kinds())
        self.assertIn("[cluster web] answers: a file that cannot be used", str(error))
        self.assertIn("/no/such.html: No such file", str(error))
