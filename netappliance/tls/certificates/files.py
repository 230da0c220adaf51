"""One file of a certificate directory: read, judged, recognised when it changes."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from OpenSSL.SSL import TLS_SERVER_METHOD, Context

from netappliance.tls.certificates.credential import Credential
from netappliance.tls.certificates.loading import load_into
from netappliance.tls.certificates.parsing import parse_credential
from netappliance.tls.certificates.refusals import Reason, Refusal, Refused

#: size of a NAME.pem, in bytes
MAX_FILE_BYTES = 256 * 1024

#: inode, size, and times of the last change of content and of inode; None where there is no such file
Stamp = tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """
    What is known of one NAME.pem.

    :ivar stamp: of the files that this was read from. :ivar credential: in force, read from them or, where they are
        refused, from what was there before. :ivar refusal: why the file is not in force as it is.
    """

    file: str
    stamp: Stamp
    credential: Credential | None
    refusal: Refusal | None = None


def stamp_of(path: Path) -> Stamp:
    """Return what changes when the file does."""
    try:
        return _stamp(path.stat())
    except (OSError, ValueError):
        return None


def read_file(directory: Path, file: str, before: CertificateFile | None = None) -> CertificateFile:
    """
    Read and judge a file. Blocks for some milliseconds, never for a peer.

    :param before: what was known of it: what it had in force stays so where the file is refused now.
    """
    stamp: Stamp = None
    try:
        data, stamp = _read(directory / file)
        credential = parse_credential(file, data)
        # the settings of a listener may be stricter; what no listener takes is found here
        load_into(Context(TLS_SERVER_METHOD), credential)
    except Refused as refused:
        kept = None if before is None else before.credential
        refusal = Refusal(file, refused.reason, refused.why)
        return CertificateFile(file, stamp or stamp_of(directory / file), kept, refusal)
    if before is not None and before.credential is not None and _same(before.credential, credential):
        credential = before.credential
    return CertificateFile(file, stamp, credential)


def _same(one: Credential, other: Credential) -> bool:
    return one.fingerprint == other.fingerprint and one.chain == other.chain


def _read(path: Path) -> tuple[bytes, Stamp]:
    """Return content and stamp, from one descriptor so that they belong together."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Refused(Reason.UNREADABLE, f"cannot be read: {why}") from error
    try:
        status = os.fstat(descriptor)
        _check_status(status)
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Refused(Reason.UNREADABLE, f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(data) > MAX_FILE_BYTES:
        raise Refused(Reason.TOO_LARGE, f"is larger than {MAX_FILE_BYTES} bytes")
    return data, _stamp(status)


def _check_status(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Refused(Reason.UNREADABLE, "is not a regular file")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise Refused(Reason.MODE, f"its private key is open to others (mode {mode:04o}; expected 0600)")


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
