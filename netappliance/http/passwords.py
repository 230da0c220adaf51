"""
Stored passwords: hashed, never plain. Sans-I/O.

Known forms: bcrypt (``$2b$``, also ``$2a$`` and ``$2y$`` as htpasswd -B writes), ``$scrypt$ln=14,r=8,p=1$salt$hash``,
``$pbkdf2-sha256$rounds$salt$hash`` (PHC and passlib write them), and 64 hexadecimal digits of plain SHA-256 (Sōzu's
form: only for long random secrets, for a guess costs an attacker nothing).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import bcrypt

#: the most that one check may cost, in milliseconds as estimated from its parameters; it runs between two events
MAX_COST_MS = 300.0
#: bytes that bcrypt looks at; a longer password never matches a bcrypt hash
BCRYPT_BYTES = 72
_SCRYPT_MEMORY = 64 * 1024 * 1024

#: a name of a user: what may stand before the colon
USER = re.compile(r"[^\x00-\x20\x7f:]{1,128}")
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_SCRYPT = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/.]{2,128}={0,2})\$([A-Za-z0-9+/.]{16,128}={0,2})"
)
_PBKDF2 = re.compile(r"\$pbkdf2-sha256\$(?:i=)?(\d{1,9})\$([A-Za-z0-9+/.]{2,128}={0,2})\$([A-Za-z0-9+/.]{43}=?)")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

FORMS = "bcrypt ($2b$...), $scrypt$ln=,r=,p=$salt$hash, $pbkdf2-sha256$rounds$salt$hash, or 64 hex digits of SHA-256"


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """
    One hash.

    :ivar matches: whether a password is the one; takes the same time for every password of up to 72 bytes.
    :ivar cost_ms: estimate of a check on a core of the 2020s. :ivar scheme: bcrypt, scrypt, pbkdf2 or sha256.
    """

    scheme: str
    cost_ms: float
    matches: Callable[[bytes], bool]


def stored_password(text: str) -> StoredPassword:
    """
    Parse a hash.

    :raises ValueError: an unknown form, or one whose check takes too long for a process that serves many.
    """
    made = _parse(text)
    if made is None:
        raise ValueError(FORMS)
    if made.cost_ms > MAX_COST_MS:
        most = f"a hash whose check takes at most {MAX_COST_MS:.0f} ms"
        raise ValueError(f"{most}; this {made.scheme} takes about {made.cost_ms:.0f} ms")
    return made


def _parse(text: str) -> StoredPassword | None:
    if match := _BCRYPT.fullmatch(text):
        cost = int(match.group(1))
        if not 4 <= cost <= 31:
            raise ValueError("a bcrypt cost from 04 to 31")
        return StoredPassword("bcrypt", 0.055 * 2**cost, partial(_bcrypt, text.encode()))
    if match := _SCRYPT.fullmatch(text):
        ln, r, p = (int(match.group(number)) for number in (1, 2, 3))
        if not (1 <= ln <= 20 and r and p) or 128 * r * 2**ln > _SCRYPT_MEMORY // 2:
            raise ValueError("scrypt with ln from 1, r and p from 1, and at most 32 MiB of memory (ln=15,r=8)")
        salt, digest = _decoded(match.group(4)), _digest(match.group(5))
        return StoredPassword("scrypt", 3.5e-4 * 2**ln * r * p, partial(_scrypt, salt, digest, ln, r, p))
    if match := _PBKDF2.fullmatch(text):
        rounds = int(match.group(1))
        if not rounds:
            raise ValueError("at least one round")
        salt, digest = _decoded(match.group(2)), _digest(match.group(3))
        return StoredPassword("pbkdf2", 2.5e-4 * rounds, partial(_pbkdf2, salt, digest, rounds))
    if _SHA256.fullmatch(text):
        return StoredPassword("sha256", 0.0, partial(_sha256, bytes.fromhex(text)))
    return None


def _decoded(text: str) -> bytes:
    """Decode base64 as these forms write it: without padding, passlib's with ``.`` for ``+``."""
    plain = text.replace(".", "+").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        raise ValueError("base64 in salt and hash") from None


def _digest(text: str) -> bytes:
    digest = _decoded(text)
    if not 16 <= len(digest) <= 64:
        raise ValueError("a hash of 16 to 64 bytes")
    return digest


def _bcrypt(stored: bytes, password: bytes) -> bool:
    # NUL ends a password for bcrypt, and what is beyond 72 bytes it does not see: neither may match
    whole = len(password) <= BCRYPT_BYTES and b"\0" not in password
    return bcrypt.checkpw(password[:BCRYPT_BYTES].replace(b"\0", b" "), stored) and whole


def _scrypt(salt: bytes, digest: bytes, ln: int, r: int, p: int, password: bytes) -> bool:
    made = hashlib.scrypt(password, salt=salt, n=2**ln, r=r, p=p, maxmem=_SCRYPT_MEMORY, dklen=len(digest))
    return hmac.compare_digest(made, digest)


def _pbkdf2(salt: bytes, digest: bytes, rounds: int, password: bytes) -> bool:
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha256", password, salt, rounds, len(digest)), digest)


def _sha256(digest: bytes, password: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(password).digest(), digest)
