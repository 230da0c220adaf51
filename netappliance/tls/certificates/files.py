"""One file of a certificate directory: read, judged, recognised when it changes."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from OpenSSL.SSL import TLS_SERVER_METHOD, Context

from netappliance.tls.certificates.credential import Credential, Staple
from netappliance.tls.certificates.loading import load_into
from netappliance.tls.certificates.ocsp import check_response
from netappliance.tls.certificates.parsing import parse_credential
from netappliance.tls.certificates.refusals import Reason, Refusal, Refused

#: size of a NAME.pem, and of a NAME.ocsp, in bytes
MAX_FILE_BYTES = 256 * 1024
MAX_OCSP_BYTES = 16 * 1024

#: inode, size, and times of the last change of content and of inode; None where there is no such file
Stamp = tuple[int, int, int, int] | None
#: of NAME.pem and of NAME.ocsp
Stamps = tuple[Stamp, Stamp]
ABSENT: Stamps = (None, None)


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """
    What is known of one NAME.pem and the NAME.ocsp beside it.

    :ivar stamps: of the files that this was read from. :ivar credential: in force, read from them or, where they are
        refused, from what was there before. :ivar refusal: why NAME.pem is not in force as it is. :ivar ocsp_refusal:
        the same of NAME.ocsp.
    """

    file: str
    stamps: Stamps
    credential: Credential | None
    refusal: Refusal | None = None
    ocsp_refusal: Refusal | None = None


def ocsp_file(file: str) -> str:
    """Return the name of the OCSP response beside a NAME.pem."""
    return file.removesuffix(".pem") + ".ocsp"


def stamp_of(file: Path | os.DirEntry[str]) -> Stamp:
    """Return what changes when the file does."""
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def read_file(directory: Path, file: str, now: float, before: CertificateFile | None = None) -> CertificateFile:
    """
    Read and judge a file and the OCSP response beside it. Blocks for some milliseconds, never for a peer.

    :param now: seconds since 1970. :param before: what was known of it: what it had in force stays so where the file is
        refused now, and stays the same object where nothing has changed.
    """
    # before it is read: a change while it is read is seen later
    stamps = stamp_of(directory / file), stamp_of(directory / ocsp_file(file))
    kept = None if before is None else before.credential
    try:
        data = _read(directory / file, MAX_FILE_BYTES, private=True)
        credential = parse_credential(file, data)
        # what OpenSSL does not take is found now, not when a client asks for it
        load_into(Context(TLS_SERVER_METHOD), credential)
    except Refused as refused:
        return CertificateFile(file, stamps, kept, Refusal(file, refused.reason, refused.why))
    staple, refusal = _staple(directory, credential, now, kept)
    credential = replace(credential, staple=staple)
    if kept is not None and _same(kept, credential):
        credential = kept
    return CertificateFile(file, stamps, credential, None, refusal)


def _staple(
    directory: Path, credential: Credential, now: float, kept: Credential | None
) -> tuple[Staple | None, Refusal | None]:
    """Return the response to staple, and why the file's is not the one."""
    file = ocsp_file(credential.file)
    try:
        data = _read(directory / file, MAX_OCSP_BYTES, private=False)
        return check_response(data, credential, now), None
    except FileNotFoundError:
        return None, None
    except Refused as refused:
        still_good = kept is not None and kept.fingerprint == credential.fingerprint
        return kept.staple if kept is not None and still_good else None, Refusal(file, refused.reason, refused.why)


def _same(one: Credential, other: Credential) -> bool:
    return (one.fingerprint, one.chain, one.staple) == (other.fingerprint, other.chain, other.staple)


def _read(path: Path, limit: int, *, private: bool) -> bytes:
    """Return the content; that of a private file only where it is nobody else's."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check_status(os.fstat(descriptor), private=private)
            with open(descriptor, "rb", closefd=False) as stream:
                data = stream.read(limit + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not private:
            raise
        why = error.strerror if isinstance(error, OSError) else error
        raise Refused(Reason.UNREADABLE, f"cannot be read: {why}") from error
    if len(data) > limit:
        raise Refused(Reason.TOO_LARGE, f"is larger than {limit} bytes")
    return data


def _check_status(status: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Refused(Reason.UNREADABLE, "is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if private and mode & 0o077:
        raise Refused(Reason.MODE, f"its private key is open to others (mode {mode:04o}; expected 0600)")
