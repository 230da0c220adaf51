"""Why a file of a certificate directory is not served, in words of a closed set and in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """What was wrong; the value is a metric's label."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    MODE = "mode"
    MALFORMED = "malformed"
    NO_KEY = "no_key"
    SEVERAL_KEYS = "several_keys"
    ENCRYPTED_KEY = "encrypted_key"
    NO_CERTIFICATE = "no_certificate"
    MISMATCH = "mismatch"
    WEAK = "weak"
    UNSUPPORTED = "unsupported"
    CHAIN_ORDER = "chain_order"
    UNUSABLE = "unusable"
    OCSP = "ocsp"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    One file that is not served as it is.

    :ivar file: its name in the directory; empty for the directory as a whole. :ivar why: ends the sentence that begins
        with the name.
    """

    file: str
    reason: Reason
    why: str

    def __str__(self) -> str:
        """Return the sentence, control characters escaped."""
        text = f"{self.file}: {self.why}" if self.file else self.why
        return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


class CertificateErrors(Exception):
    """All that is wrong with a directory, at once."""

    def __init__(self, directory: str, refusals: Iterable[Refusal]) -> None:
        self.directory = directory
        self.refusals = tuple(refusals)
        super().__init__("; ".join(f"{directory}{'/' if each.file else ': '}{each}" for each in self.refusals))


class Refused(Exception):
    """Raised while one file is read; becomes a :class:`Refusal` with the file's name."""

    def __init__(self, reason: Reason, why: str) -> None:
        self.reason = reason
        self.why = why
        super().__init__(why)
