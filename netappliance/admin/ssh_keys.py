"""The manhole's key files: who may log in, and what the host proves itself with. Doubtful files stop the start."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.keys import EncryptedKeyError, Key

from netappliance.errors import StartError

MAX_KEY_FILE_BYTES = 256 * 1024
MIN_RSA_BITS = 2048


def fingerprint(blob: bytes) -> str:
    """``SHA256:…`` of a public key's wire form, as ``ssh-keygen -l`` prints it (RFC 4716 section 4, with SHA-256)."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def load_authorized_keys(path: str) -> frozenset[bytes]:
    """
    The public keys of an authorized_keys file: one per line, ``#`` comments, no options before the key.

    :return: the keys' wire forms (blobs), at least one.
    :raises StartError: missing, unreadable, writable by others, empty, or a line that is not a usable key.
    """
    text, mode = _read("authorized_keys", path)
    if mode & 0o022:
        raise StartError(
            f"[manhole] authorized_keys: {path} is writable by others (mode {mode:04o}; expected 0644 or less)"
        )
    blobs = set()
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith(b"#"):
            blobs.add(_public_blob(line, f"{path} line {number}"))
    if not blobs:
        raise StartError(f"[manhole] authorized_keys: {path} holds no key (expected ssh-ed25519, ecdsa or rsa lines)")
    return frozenset(blobs)


def _public_blob(line: bytes, where: str) -> bytes:
    try:
        key = Key.fromString(line, type="public_openssh")
        kind: str = key.type()
        bits: int = key.size()
        blob: bytes = key.blob()
    except Exception as error:  # any parser's complaint about an operator's file is the same refusal
        raise StartError(f"[manhole] authorized_keys: {where} is not a public key without options") from error
    if kind == "DSA" or (kind == "RSA" and bits < MIN_RSA_BITS):
        raise StartError(
            f"[manhole] authorized_keys: {where} is too weak ({kind} {bits} bits; expected ed25519, ecdsa or "
            f"RSA from {MIN_RSA_BITS} bits)"
        )
    return blob


def load_or_make_host_key(path: str) -> Key:
    """
    The ed25519 host key; made with mode 0600 (and its folder with 0700) when there is none.

    :raises StartError: unreadable, of a wider mode, another user's, encrypted, of another type or not a key.
    """
    if not os.path.lexists(path):
        _make_host_key(path)
    data, mode = _read("host_key", path)
    if mode & 0o077:
        raise StartError(f"[manhole] host_key: {path} is open to others (mode {mode:04o}; expected 0600)")
    try:
        key: Key = Key.fromString(data)
    except EncryptedKeyError as error:
        raise StartError(f"[manhole] host_key: {path} has a passphrase (expected none)") from error
    except Exception as error:  # as above
        raise StartError(f"[manhole] host_key: {path} is not a private key in OpenSSH form") from error
    if key.isPublic() or key.type() != "Ed25519":
        found = "a public key" if key.isPublic() else f"{key.type()}"
        raise StartError(f"[manhole] host_key: {path} holds {found} (expected an ed25519 private key)")
    return key


def _make_host_key(path: str) -> None:
    data = Key(Ed25519PrivateKey.generate()).toString("openssh", subtype="v1")
    target = Path(path)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # a second process that starts at the same moment must not find half a key: write aside, then link
        aside = target.with_name(f"{target.name}.{os.getpid()}.new")
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                os.fsync(stream.fileno())
            try:
                os.link(aside, target)
            except FileExistsError:
                pass
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"[manhole] host_key: cannot make {path}: {error.strerror or error}") from error


def _read(key: str, path: str) -> tuple[bytes, int]:
    """Content and permission bits, from one descriptor so that they belong together."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StartError(f"[manhole] {key}: cannot read {path}: {why}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StartError(f"[manhole] {key}: {path} is not a regular file")
        if status.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
            raise StartError(
                f"[manhole] {key}: {path} belongs to uid {status.st_uid} (expected {os.geteuid()} or root)"
            )
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise StartError(f"[manhole] {key}: cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise StartError(f"[manhole] {key}: {path} is larger than {MAX_KEY_FILE_BYTES} bytes")
    return data, stat.S_IMODE(status.st_mode)
