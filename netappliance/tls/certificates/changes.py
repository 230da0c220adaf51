"""What changes of a directory mean for the set in force. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from netappliance.tls.certificates.directory import CertificateSet
from netappliance.tls.certificates.files import ABSENT, CertificateFile, Stamps
from netappliance.tls.certificates.refusals import Reason, Refusal

#: looks after which a file that changes all the time is read as it is
MAX_LOOKS = 20


class Settling:
    """
    Finds the files that have changed and come to rest, so that one that is being written is not read half.

    :ivar moving: those that have changed and are waited for -> their last stamps, and how often they have been seen to
        differ from what is known.
    """

    def __init__(self) -> None:
        self.moving: dict[str, tuple[Stamps | None, int]] = {}

    def look(self, changed: Mapping[str, Stamps | None]) -> list[str]:
        """
        Return the files that were the same at the last look.

        :param changed: stamps of all files that differ from what is known; None for those that are gone.
        """
        before, self.moving = self.moving, {}
        settled = []
        for file in sorted(changed):
            last = before.get(file)
            looks = 0 if last is None else last[1]
            if last == (changed[file], looks) or looks + 1 >= MAX_LOOKS:
                settled.append(file)
            else:
                self.moving[file] = changed[file], looks + 1
        return settled


def merged(
    current: CertificateSet,
    read: Iterable[CertificateFile],
    removed: Collection[str],
    *,
    default: str,
    may_be_empty: bool,
) -> CertificateSet:
    """
    Return the set with files added, replaced and dropped.

    What was removed stays in force, as a refusal that says so, where it is the default, or where nothing else is left.

    :param default: the file that is named as the default; empty for none.
    """
    files = {each.file: each for each in (*current.files.values(), *read)}
    gone = [each for each in files.values() if each.file in removed or is_removed(each)]
    for each in gone:
        del files[each.file]
    empty = not may_be_empty and not any(each.credential is not None for each in files.values())
    for each in gone:
        if each.credential is not None:
            if each.credential.is_called(default):
                files[each.file] = _kept(each, "it is the default")
            elif empty:
                files[each.file] = _kept(each, "there is no other certificate")
    return CertificateSet(current.directory, files.values())


def is_removed(file: CertificateFile) -> bool:
    """Say whether a file is gone, and its certificate in force all the same."""
    return file.refusal is not None and file.refusal.reason is Reason.REMOVED


def _kept(file: CertificateFile, why: str) -> CertificateFile:
    refusal = Refusal(file.file, Reason.REMOVED, f"was removed, and is served until the next start, for {why}")
    return replace(file, stamps=ABSENT, refusal=refusal, ocsp_refusal=None)
