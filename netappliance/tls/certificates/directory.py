"""
A directory of ``NAME.pem`` files as an immutable set of credentials.

``ca.pem`` is never served, whatever it holds: it is the place for the certificate of a local authority. Names that
begin with a dot, and all that do not end in .pem, are no concern of ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netappliance.tls.certificates.credential import Credential
from netappliance.tls.certificates.files import CertificateFile, read_file
from netappliance.tls.certificates.refusals import CertificateErrors, Reason, Refusal

#: NAME.pem files of a directory
MAX_FILES = 10_000
#: the file that is left alone
AUTHORITY = "ca.pem"


@dataclass(frozen=True, slots=True)
class CertificateSet:
    """
    What a directory held when it was looked at.

    :ivar files: in the order of their names.
    """

    directory: str
    files: tuple[CertificateFile, ...] = ()

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """What is in force, in the order of the files' names."""
        return tuple(each.credential for each in self.files if each.credential is not None)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Why files are not in force as they are."""
        return tuple(each.refusal for each in self.files if each.refusal is not None)


def is_certificate_file(file: str) -> bool:
    """Say whether a name is that of a file to serve."""
    return file.endswith(".pem") and not file.startswith(".") and file != AUTHORITY and len(file) > len(".pem")


def prepare(directory: str, previous: CertificateSet | None = None, *, may_be_empty: bool = False) -> CertificateSet:
    """
    Read a whole directory; blocks. Nothing that runs is touched.

    :param previous: what is in force: credentials that did not change stay the same objects.
    :param may_be_empty: whether there may be no certificate, nor a directory.
    :raises CertificateErrors: with everything that is wrong.
    """
    known = {} if previous is None else {each.file: each for each in previous.files}
    files: list[CertificateFile] = []
    try:
        names = sorted(certificate_files(directory))
    except FileNotFoundError as error:
        if may_be_empty:
            return CertificateSet(directory)
        raise _unreadable(directory, error) from error
    except OSError as error:
        raise _unreadable(directory, error) from error
    if len(names) > MAX_FILES:
        raise CertificateErrors(directory, [Refusal("", Reason.TOO_MANY, f"holds more than {MAX_FILES} .pem files")])
    files = [read_file(Path(directory), name, known.get(name)) for name in names]
    found = CertificateSet(directory, tuple(files))
    if found.refusals:
        raise CertificateErrors(directory, found.refusals)
    if not files and not may_be_empty:
        why = "holds no NAME.pem (expected at least one file with a certificate, its chain and its key)"
        raise CertificateErrors(directory, [Refusal("", Reason.NO_CERTIFICATE, why)])
    return found


def certificate_files(directory: str) -> Iterator[str]:
    """
    Yield the names of the files to serve, in no order.

    :raises OSError: the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            if is_certificate_file(entry.name):
                yield entry.name


def changed(current: CertificateSet, files: Iterable[CertificateFile]) -> CertificateSet:
    """Return a set with some files replaced or added."""
    known = {each.file: each for each in current.files} | {each.file: each for each in files}
    return CertificateSet(current.directory, tuple(known[file] for file in sorted(known)))


def _unreadable(directory: str, error: OSError) -> CertificateErrors:
    why = f"cannot be read: {error.strerror} (expected a directory of NAME.pem files)"
    return CertificateErrors(directory, [Refusal("", Reason.UNREADABLE, why)])
