"""PageTemplate files of our own HTTP answers: which file is for which status, and what may stand in one."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netappliance.config import values
from netappliance.errors import ConfigProblem

#: statuses that the appliance answers with by itself or by a filter, and their phrases (RFC 9110 section 15)
REASONS: dict[int, str] = {
    200: "OK",
    204: "No Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    410: "Gone",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
#: statuses that a template may be given for
TEMPLATE_STATUSES = tuple(status for status in REASONS if status not in (200, 204, 303, 304, 307, 405, 410))
#: bytes of one template file
MAX_TEMPLATE = 64 * 1024

#: file extension -> media type of the answer, in the order of preference between equals
MEDIA = {".html": b"text/html", ".json": b"application/json", ".txt": b"text/plain"}
#: media type -> value of Content-Type
CONTENT_TYPES = {
    b"text/html": b"text/html; charset=utf-8",
    b"application/json": b"application/json",
    b"text/plain": b"text/plain; charset=utf-8",
}
#: what may stand in a template, as ``$name`` or ``${name}``; ``$$`` is a dollar sign
PLACEHOLDERS = ("status", "reason", "why", "request_id", "route", "cluster", "backend", "retry_after", "location")

_PLACEHOLDER = re.compile(r"\$(?:(\$)|\{([^{}\n]{0,64})\}|([A-Za-z_][A-Za-z0-9_]*))")
_LINE = re.compile(r"(\d{3})\s*=\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """One line of ``answers``; ``media`` follows from the extension."""

    status: int
    path: str
    media: bytes


def answer_files(text: str) -> tuple[AnswerFile, ...]:
    """
    Lines of ``STATUS = path/to/file.html``; .html, .json and .txt files of one status stand side by side.

    :raises ValueError: with what was expected.
    """
    found: dict[tuple[int, bytes], AnswerFile] = {}
    for line in values.lines(text):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"lines of STATUS = path, such as 503 = pages/503.html, not {line!r}")
        status, path = int(match.group(1)), match.group(2).strip()
        if status not in TEMPLATE_STATUSES:
            raise ValueError(f"one of {' '.join(map(str, TEMPLATE_STATUSES))}, not {status}")
        media = MEDIA.get(Path(path).suffix.lower())
        if media is None:
            raise ValueError(f"a file that ends in {', '.join(MEDIA)}, not {path!r}")
        if (status, media) in found:
            raise ValueError(f"one {Path(path).suffix} file for {status}, not two")
        found[status, media] = AnswerFile(status, path, media)
    return tuple(found.values())


class PageTemplate:
    """
    The body of an answer, with places for values.

    Not a :class:`netappliance.http.expansion.Template`: pages are prose and scripts, in which a lone dollar sign is
    nothing special, their places are for what is known of an answer, and values are escaped as the media type needs it.

    :ivar media: media type. :ivar fields: names of the placeholders in it.
    """

    __slots__ = ("_parts", "fields", "media")

    def __init__(self, text: str, media: bytes) -> None:
        """
        Compile it.

        :raises ValueError: names the placeholder that there is none of.
        """
        self.media = media
        #: text and placeholder in turn
        self._parts: list[tuple[str, str]] = []
        at = 0
        literal = ""
        for match in _PLACEHOLDER.finditer(text):
            literal += text[at : match.start()]
            at = match.end()
            name = match.group(2) if match.group(2) is not None else match.group(3)
            if name is None:
                literal += "$"
            elif name in PLACEHOLDERS:
                self._parts.append((literal, name))
                literal = ""
            else:
                known = " ".join(f"${known}" for known in PLACEHOLDERS)
                raise ValueError(f"${name} is none of {known} ($$ is a dollar sign)")
        self._parts.append((literal + text[at:], ""))
        self.fields = frozenset(name for _, name in self._parts if name)

    def pieces(self, fields: dict[str, str], hole: str) -> list[str]:
        """
        Return the body in pieces, to be joined by the (escaped) value of the placeholder ``hole``.

        Other values are escaped here as the media type needs it; those that are absent are empty.
        """
        pieces = []
        out = []
        for literal, name in self._parts:
            out.append(literal)
            if name == hole:
                pieces.append("".join(out))
                out = []
            elif fields.get(name):
                out.append(escaped(fields[name], self.media))
        return [*pieces, "".join(out)]


def escaped(value: str, media: bytes) -> str:
    """Make text safe inside an element or a quoted attribute of HTML, or inside a JSON string; plain text as it is."""
    if media == b"text/html":
        return html.escape(value)
    if media == b"application/json":
        return json.dumps(value)[1:-1]
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value)


#: (status, media type) -> template
Templates = dict[tuple[int, bytes], PageTemplate]


def load_templates(files: Iterable[AnswerFile]) -> Templates:
    """
    Read the files of a section's ``answers``.

    :raises ValueError: which file cannot be used, and why; all of them at once.
    """
    loaded: Templates = {}
    wrong = []
    for each in files:
        try:
            loaded[each.status, each.media] = PageTemplate(_read(each.path), each.media)
        except (OSError, ValueError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            wrong.append(f"{each.status} = {each.path}: {why}")
    if wrong:
        raise ValueError("; ".join(wrong))
    return loaded


def check_answers(title: str, files: Iterable[AnswerFile]) -> Iterator[ConfigProblem]:
    """Yield a problem when template files of a section cannot be used."""
    try:
        load_templates(files)
    except ValueError as error:
        yield ConfigProblem(title, "answers", "a file that cannot be used", None, str(error))


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        data = file.read(MAX_TEMPLATE + 1)
    if len(data) > MAX_TEMPLATE:
        raise ValueError(f"more than {MAX_TEMPLATE} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte 0x{data[error.start]:02x} at {error.start} is not UTF-8") from None
