"""User name and password (RFC 7617), against hashes; a slow one is checked once for each credential, not request."""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from netappliance.config import values
from netappliance.config.schema import option
from netappliance.http import fields
from netappliance.http.filters.access import retry_after
from netappliance.http.filters.base import RequestFilter, Resources
from netappliance.http.filters.client_network import PREFIX_V4_DOC, PREFIX_V6_DOC, grouping
from netappliance.http.filters.limits import Buckets
from netappliance.http.message import Answer, Exchange
from netappliance.http.passwords import FORMS, MAX_COST_MS, USER, StoredPassword, stored_password

#: bytes of one Authorization value; a longer one is as if wrong
MAX_CREDENTIALS = 4096
#: bytes of a file of users, and users of a filter
MAX_FILE = 1024 * 1024
MAX_USERS = 10_000

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

Users = dict[bytes, StoredPassword]


def users(text: str) -> Users:
    """
    Lines of ``name:hash``.

    :raises ValueError: which line is wrong (by its user, never with the hash), and what was expected.
    """
    found: Users = {}
    for line in values.lines(text):
        name, colon, stored = (part.strip() for part in line.partition(":"))
        if not colon or not USER.fullmatch(name):
            raise ValueError(f"lines of name:hash, the hash {FORMS}")
        try:
            made = stored_password(stored)
        except ValueError as error:
            raise ValueError(f"for user {name} {error}") from None
        if found.setdefault(name.encode(), made) is not made:
            raise ValueError(f"user {name} once")
    if len(found) > MAX_USERS:
        raise ValueError(f"at most {MAX_USERS} users")
    return found


def users_of_file(path: str) -> Users:
    """
    Read a file of the same lines; empty ones and those that begin with ``#`` count for nothing.

    :raises ValueError: it cannot be read, or a line is wrong.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ValueError(f"users_file: {path}: {error.strerror or error}") from None
    if len(data) > MAX_FILE:
        raise ValueError(f"users_file: {path}: more than {MAX_FILE} bytes")
    try:
        lines = [line.strip() for line in data.decode("utf-8").splitlines()]
        return users("\n".join(line for line in lines if not line.startswith("#")))
    except UnicodeDecodeError:
        raise ValueError(f"users_file: {path}: not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"users_file: {path}: {error}") from None


def _realm(text: str) -> str:
    if not re.fullmatch(r'[^"\\\x00-\x1f\x7f-\uffff]{1,128}', text):
        raise ValueError("1 to 128 characters of ASCII without quotes and backslashes")
    return text


def _name(text: str) -> bytes:
    name = text.encode("ascii", "replace")
    if name:
        fields.line(name, b"")
    if name.lower() in (*fields.RESERVED, b"authorization", b"cookie"):
        raise ValueError("a field of its own, which nothing else is read from")
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuthSection:
    """
    Asks for a user name and a password. Slow hashes are checked in the process that moves the traffic, so rarely: what
    was verified once is remembered, and the time for others is limited for all clients together and for each network.
    """

    name: str
    kind: str = option(values.text, required=True, unit="kind", doc="basic_auth", example="basic_auth")
    users: Users = option(  # noqa: RUF009 - a field
        users,
        secret=True,
        unit="lines",
        doc=f"One user per line, as name:hash; the hash {FORMS}. A check may take {MAX_COST_MS:.0f} ms at most (bcrypt "
        "cost 12); use one form and cost for all users, for an unknown one takes as long as the slowest. "
        "`python -m netappliance hash-password` makes such lines.",
    )
    users_file: str = option(
        values.text, unit="path", doc="A file of such lines (htpasswd -B writes them), read at start."
    )
    realm: str = option(_realm, "restricted", unit="text", doc="What browsers show.")
    strip: bool = option(values.boolean, "yes", doc="Take Authorization out before the backend sees it.")
    user_header: bytes = option(
        _name, unit="header", doc="Tell the backend the user's name in this header; a client's own is taken out."
    )
    cache_size: int = option(
        values.integer(1, 1_000_000),
        "1024",
        unit="credentials",
        doc="Verified credentials remembered (as digests) until the next start; the least recently used goes first.",
    )
    hash_time_s: float = option(
        values.positive_duration,
        "250ms",
        key="hash_time",
        unit="duration",
        doc="In each second, how long slow hashes may be checked, by estimate; beyond it 503 with Retry-After.",
    )
    max_failures: int = option(
        values.integer(0, 1_000_000),
        "30",
        unit="failures",
        doc="Wrong credentials of one client network in a minute; beyond it 429 with Retry-After. 0 = unlimited.",
    )
    prefix_v4: int = option(values.integer(0, 32), "32", unit="bits", doc=PREFIX_V4_DOC)
    prefix_v6: int = option(values.integer(0, 128), "64", unit="bits", doc=PREFIX_V6_DOC)
    max_clients: int = option(
        values.integer(1, 10_000_000), "65536", unit="networks", doc="Networks whose failures are counted."
    )


class BasicAuth(RequestFilter):
    """
    Verified credentials cost a digest and a look-up.

    :ivar verified: digest of an Authorization value -> user, the most recently used last.
    """

    def __init__(self, section: BasicAuthSection, known: Users, now: float) -> None:
        self._users = known
        #: what unknown users are checked against, so that they take as long
        self._nobody = max(known.values(), key=lambda stored: stored.cost_ms, default=None)
        self._challenge = fields.line(
            b"WWW-Authenticate", f'Basic realm="{section.realm}", charset="UTF-8"'.encode("ascii")
        )
        self._strip = section.strip
        self._user_header = section.user_header
        self._claimed = fields.spellings([section.user_header], twins=True).match
        self._size = section.cache_size
        self.verified: OrderedDict[bytes, bytes] = OrderedDict()
        self._most_ms = max(section.hash_time_s * 1000, MAX_COST_MS)
        self._rate_ms = section.hash_time_s * 1000
        self._left_ms, self._spent_at = self._most_ms, now
        most = section.max_failures
        self._failures = Buckets(most / 60.0, most, section.max_clients) if most else None
        self._group = grouping(section.prefix_v4, section.prefix_v6)
        self._counts = dict.fromkeys(("passed", "wrong", "missing", "throttled", "busy", "checked"), 0)

    def request(self, exchange: Exchange) -> Answer | None:
        """Let those in who are known."""
        lines = exchange.request.lines
        # one look at each line serves finding, counting and taking out
        found = [number for number, line in enumerate(lines) if line[:14].lower() == b"authorization:"]
        if len(found) != 1:
            return self._refuse("missing" if not found else "wrong")
        given = lines[found[0]][14:].strip(b" \t")
        digest = blake2b(given, digest_size=32).digest()
        user = self.verified.get(digest)
        if user is None:
            answer = self._check(given, digest, exchange)
            if answer is not None:
                return answer
            user = self.verified[digest]
        else:
            self.verified.move_to_end(digest)
        self._counts["passed"] += 1
        if self._strip:
            del lines[found[0]]
        if self._user_header:
            # a client's own, also what a backend would take for the same variable
            lines[:] = [line for line in lines if self._claimed(line) is None]
            lines.append(fields.line(self._user_header, user))
        exchange.notes["user"] = user.decode()
        return None

    def figures(self) -> dict[str, int]:
        """Requests by what became of them, and hashes checked."""
        return dict(self._counts)

    def _check(self, given: bytes, digest: bytes, exchange: Exchange) -> Answer | None:
        """Verify credentials that were not seen before; None when they are right."""
        credentials = parsed(given)
        network = self._group(exchange.client)
        now = exchange.now
        if self._failures is not None:
            wait = self._failures.wait(network, now)
            if wait:
                self._counts["throttled"] += 1
                return Answer(429, "Too many wrong passwords; try again later.", retry_after(wait))
        user, password = credentials or (b"", b"")
        stored = self._users.get(user, self._nobody)
        if credentials is None or stored is None:
            return self._wrong(network, now)
        if not self._afford(stored.cost_ms, now):
            self._counts["busy"] += 1
            return Answer(503, "Too many passwords to check; try again.", [b"Retry-After: 1"])
        self._counts["checked"] += 1
        # the hash is checked before it is asked whether there is such a user
        if not stored.matches(password) or user not in self._users:
            return self._wrong(network, now)
        if len(self.verified) >= self._size:
            self.verified.popitem(last=False)
        self.verified[digest] = user
        return None

    def _wrong(self, network: str, now: float) -> Answer:
        if self._failures is not None:
            self._failures.spend(network, now)
        return self._refuse("wrong")

    def _refuse(self, why: str) -> Answer:
        self._counts[why] += 1
        return Answer(401, lines=[self._challenge])

    def _afford(self, cost_ms: float, now: float) -> bool:
        """Take the time of a check out of the budget."""
        if not cost_ms:
            return True
        left = min(self._most_ms, self._left_ms + max(0.0, now - self._spent_at) * self._rate_ms)
        self._spent_at = now
        self._left_ms = left - cost_ms if left >= cost_ms else left
        return left >= cost_ms


def parsed(value: bytes) -> tuple[bytes, bytes] | None:
    """Return (user, password) of an Authorization value; None when it is no well-formed Basic one."""
    if len(value) > MAX_CREDENTIALS:
        return None
    scheme, _, token = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(token.strip(b" "), validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    if not user or not colon or _CONTROL.search(decoded):
        return None
    return user, password


def all_users(given: Iterable[Users]) -> Users:
    """
    Put users together.

    :raises ValueError: one is there twice.
    """
    found: Users = {}
    for each in given:
        for name, stored in each.items():
            if name in found:
                raise ValueError(f"users: {name.decode()} is in users and in users_file")
            found[name] = stored
    return found


def make(section: BasicAuthSection, resources: Resources) -> BasicAuth:
    """
    Build it; the file of users is read here. One without users lets nobody in.

    :raises ValueError: no users given, or a file that cannot be used.
    """
    if not section.users and not section.users_file:
        raise ValueError("users: they or users_file must be given")
    of_file = users_of_file(section.users_file) if section.users_file else {}
    return BasicAuth(section, all_users((section.users, of_file)), resources.now)
