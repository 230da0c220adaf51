"""
A directory of ``NAME.pem`` files as an immutable set of credentials.

``ca.pem`` is never served, whatever it holds: it is the place for the certificate of a local authority. Names that
begin with a dot, and all that do not end in .pem, are no concern of ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path

from netappliance.tls.certificates.credential import Credential
from netappliance.tls.certificates.files import CertificateFile, read_file
from netappliance.tls.certificates.refusals import CertificateErrors, Reason, Refusal

#: NAME.pem files of a directory
MAX_FILES = 10_000
#: the file that is left alone
AUTHORITY = "ca.pem"


class CertificateSet:
    """
    What a directory held when it was looked at; never changed.

    :ivar files: what is known of each, by name, in the order of names. :ivar credentials: what is in force, in that
        order. :ivar refusals: why files are not in force as they are, those of OCSP responses too.
    """

    __slots__ = ("credentials", "directory", "files", "refusals")

    def __init__(self, directory: str, files: Iterable[CertificateFile] = ()) -> None:
        self.directory = directory
        self.files: Mapping[str, CertificateFile] = {each.file: each for each in sorted(files, key=attrgetter("file"))}
        known = self.files.values()
        self.credentials: tuple[Credential, ...] = tuple(
            each.credential for each in known if each.credential is not None
        )
        both = [refusal for each in known for refusal in (each.refusal, each.ocsp_refusal)]
        self.refusals: tuple[Refusal, ...] = tuple(refusal for refusal in both if refusal is not None)

    def next_beginning(self, now: float) -> float:
        """Return when the next certificate becomes valid, in seconds since 1970; infinite if none will."""
        return min((each.not_before for each in self.credentials if each.not_before > now), default=float("inf"))


def is_certificate_file(file: str) -> bool:
    """Say whether a name is that of a file to serve."""
    return file.endswith(".pem") and not file.startswith(".") and file != AUTHORITY and len(file) > len(".pem")


def prepare(
    directory: str,
    now: float,
    previous: CertificateSet | None = None,
    *,
    may_be_empty: bool = False,
) -> CertificateSet:
    """
    Read a whole directory; blocks for a millisecond or two for each file. Nothing that runs is touched.

    :param now: seconds since 1970. :param previous: what is in force: credentials that did not change stay the same
        objects. :param may_be_empty: whether there may be no certificate, nor a directory.
    :raises CertificateErrors: with everything that is wrong. A bad OCSP response is no error: what is known of its file
        says so.
    """
    known = {} if previous is None else previous.files
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
    files = [read_file(Path(directory), name, now, known.get(name)) for name in names]
    wrong = [each.refusal for each in files if each.refusal is not None]
    if wrong:
        raise CertificateErrors(directory, wrong)
    if not files and not may_be_empty:
        why = "holds no NAME.pem (expected at least one file with a certificate, its chain and its key)"
        raise CertificateErrors(directory, [Refusal("", Reason.NO_CERTIFICATE, why)])
    return CertificateSet(directory, files)


def certificate_files(directory: str) -> Iterator[str]:
    """
    Yield the names of the files to serve, in no order.

    :raises OSError: the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            if is_certificate_file(entry.name):
                yield entry.name


def _unreadable(directory: str, error: OSError) -> CertificateErrors:
    why = f"cannot be read: {error.strerror} (expected a directory of NAME.pem files)"
    return CertificateErrors(directory, [Refusal("", Reason.UNREADABLE, why)])
