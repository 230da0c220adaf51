"""The ``[cluster NAME]`` section."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from netappliance.clusters.balancing import balancer_names
from netappliance.clusters.health import HealthSpec, health_check
from netappliance.config import values
from netappliance.config.answer_files import AnswerFile, answer_files, load_templates
from netappliance.config.schema import option, suggestion
from netappliance.errors import ConfigProblem
from netappliance.interfaces import ISectionKind

if TYPE_CHECKING:
    from netappliance.config.configuration import Configuration

_NAME = re.compile(r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$")
_ID = re.compile(r"[A-Za-z0-9_.:@/\[\]-]{1,128}$")


@dataclass(frozen=True, slots=True)
class BackendSection:
    """
    One line of ``backends``.

    :ivar host: IP address or host name; empty for a unix socket. :ivar path: of a unix socket, else empty.
    :ivar max_connections: 0 = unlimited.
    """

    id: str
    host: str
    port: int
    path: str = ""
    weight: int = 100
    backup: bool = False
    max_connections: int = 0
    tokens: tuple[bytes, ...] = ()
    locality: str = ""

    @property
    def family(self) -> int:
        """AF_UNIX, AF_INET, AF_INET6, or AF_UNSPEC for a name that must be resolved."""
        if self.path:
            return socket.AF_UNIX
        try:
            return socket.AF_INET6 if ipaddress.ip_address(self.host).version == 6 else socket.AF_INET
        except ValueError:
            return socket.AF_UNSPEC


def _identifier(text: str) -> str:
    if not _ID.match(text):
        raise ValueError("1 to 128 letters, digits and _.:@/[]-")
    return text


def _token(text: str) -> bytes:
    token = values.base64_bytes(text)
    if not token:
        raise ValueError("base64 of at least one byte")
    return token


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "id": _identifier,
    "weight": values.integer(0, 65535),
    "backup": values.boolean,
    "token": _token,
    "max_connections": values.integer(0, 10_000_000),
    "locality": values.text,
}


def _address(text: str) -> tuple[str, int, str]:
    """Split ``127.0.0.1:80``, ``[::1]:80``, ``name:80`` or ``unix:/path`` into (host, port, path)."""
    if text.startswith("unix:"):
        path = text[5:]
        if not path or len(path.encode()) > 107:
            raise ValueError("unix:PATH with a path of 1 to 107 bytes")
        return "", 0, path
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[1-9]\d{0,4}", port, re.ASCII) or int(port) > 65535:
        raise ValueError("ADDRESS:PORT with a port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1])), int(port), ""
        except ValueError:
            raise ValueError("an IPv6 address between the brackets") from None
    try:
        return str(ipaddress.IPv4Address(host)), int(port), ""
    except ValueError:
        if not _NAME.match(host) or re.fullmatch(r"[\d.]+", host):
            raise ValueError("127.0.0.1:80, [::1]:80, name:80 or unix:/path") from None
    return host.rstrip(".").lower(), int(port), ""


def backend_line(line: str) -> BackendSection:
    """
    Parse ``ADDRESS [id=a] [weight=100] [backup=yes] [token=BASE64]... [max_connections=N] [locality=NAME]``.

    :raises ValueError: with what was expected.
    """
    address, *options = line.split()
    host, port, path = _address(address)
    given: dict[str, Any] = {}
    tokens: list[bytes] = []
    for text in options:
        key, equals, value = text.partition("=")
        convert = _OPTIONS.get(key)
        if not equals or convert is None:
            raise ValueError(f"options {', '.join(f'{known}=' for known in _OPTIONS)}{suggestion(key, _OPTIONS)}")
        if key in given:
            raise ValueError(f"{key}= only once")
        try:
            converted = convert(value)
        except ValueError as error:
            raise ValueError(f"{error} in {key}=") from None
        if key == "token":
            tokens.append(converted)
        else:
            given[key] = converted
    return BackendSection(id=given.pop("id", address), host=host, port=port, path=path, tokens=tuple(tokens), **given)


def backend_lines(text: str) -> tuple[BackendSection, ...]:
    """Parse all lines; every bad one is reported. Items may also be separated by commas."""
    backends: list[BackendSection] = []
    wrong: list[str] = []
    seen: set[str] = set()
    for item in values.words(text):
        try:
            backend = backend_line(item)
        except ValueError as error:
            wrong.append(f"{error} in {item!r}")
            continue
        if backend.id in seen:
            wrong.append(f"an id of its own for {item!r}")
        seen.add(backend.id)
        backends.append(backend)
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(backends)


def _balance_key(text: str) -> str:
    if text in ("client_address", "client_address_port", "uri", "token"):
        return text
    if re.fullmatch(r"(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", text):
        return text
    raise ValueError("client_address | client_address_port | header:NAME | cookie:NAME | uri | token")


def _balance(text: str) -> str:
    known = balancer_names()
    if text not in known:
        raise ValueError(" | ".join(known) + suggestion(text, known))
    return text


def _cookie_name(text: str) -> str:
    if text and not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", text):
        raise ValueError("a cookie's name: up to 64 letters, digits and !#$%&'*+.^_`|~-")
    return text


def _cookie_path(text: str) -> str:
    if not re.fullmatch(r"/[\x21-\x3a\x3c-\x7e]{0,255}", text):
        raise ValueError("a path from its / on, printable ASCII without spaces and semicolons")
    return text


def _off(text: str) -> str:
    if text:
        raise ValueError("nothing: this version does not do it")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSection:
    """Backends that do the same work, and how one of them is chosen."""

    name: str
    backends: tuple[BackendSection, ...] = option(
        backend_lines,
        unit="backends",
        doc="One per line: ADDRESS:PORT (IPv4, [IPv6], host name) or unix:PATH, then id= weight= backup=yes "
        "token=BASE64 (repeatable) max_connections= locality=. Host names are resolved again and again; each address "
        "is a backend of its own.",
        example="127.0.0.1:9803 id=a weight=100",
    )
    balance: str = option(
        _balance,
        "round_robin",
        doc="round_robin, random, least_connections, power_of_two, rendezvous, maglev, peak_ewma, or a plug-in's name.",
    )
    balance_key: str = option(
        _balance_key,
        "client_address",
        doc="What rendezvous and maglev hash: client_address, client_address_port, header:NAME, cookie:NAME, uri, "
        "token.",
    )
    connect_timeout_s: float = option(
        values.positive_duration,
        "3s",
        key="connect_timeout",
        unit="duration",
        doc="How long one connection attempt may take.",
    )
    retries: int = option(
        values.integer(1, 100),
        "3",
        unit="attempts",
        doc="Connection attempts per session or request, each on another backend where there is one.",
    )
    sticky_cookie: str = option(
        _cookie_name,
        unit="name",
        doc="Name of a cookie that leads HTTP clients back to their backend; taken out of requests; empty = off. Its "
        "value is the backend's id, or a digest where the id is an address.",
    )
    sticky_path: str = option(_cookie_path, "/", unit="path", doc="Path of the cookie.")
    sticky_secure: str = option(
        values.choice("auto", "yes", "no"), "auto", doc="Secure on the cookie; auto = when the client speaks TLS."
    )
    sticky_http_only: bool = option(values.boolean, "yes", doc="HttpOnly on the cookie: scripts do not see it.")
    sticky_same_site: str = option(
        values.choice("lax", "strict", "none", "off"),
        "lax",
        doc="SameSite of the cookie; none is left out where the cookie is not Secure, off always.",
    )
    sticky_max_age_s: float = option(
        values.duration,
        "0",
        key="sticky_max_age",
        unit="duration",
        doc="Max-Age of the cookie, counted from the answer that sets it; 0 = until the browser closes.",
    )
    sticky_secret: str = option(
        values.text,
        doc="Key of the digest for backends whose id is an address; the same in all processes that share clients. "
        "Without it, whoever guesses an address can confirm the guess.",
    )
    health_check: HealthSpec | None = option(  # noqa: RUF009 - a field
        health_check,
        unit="check",
        doc="http uri=/PATH [expect=200-299] [host=NAME] [method=GET], tcp [send=BASE64] [expect=BASE64], udp "
        "send=BASE64 [expect=BASE64], or a plug-in's name and options; then, for all, interval=10s timeout=5s rise=3 "
        "fall=3 port=0 (of the check; 0 = the backend's). Empty = off.",
        example="http uri=/healthz expect=200 interval=10s",
    )
    tls: str = option(_off, doc="TLS towards backends is not there yet: must be empty.")
    resolve_interval_s: float = option(
        values.positive_duration,
        "30s",
        key="resolve_interval",
        unit="duration",
        doc="How often host names are resolved again; a failure keeps the last good addresses.",
    )
    resolve_max: int = option(
        values.integer(1, 1024),
        "16",
        unit="addresses",
        doc="Addresses taken from one host name; further ones are left out.",
    )
    pool_max_idle: int = option(
        values.integer(0, 65535),
        "256",
        unit="connections",
        doc="HTTP: idle connections kept for each backend, for the next requests of whichever client; 0 = none.",
    )
    pool_idle_timeout_s: float = option(
        values.positive_duration,
        "30s",
        key="pool_idle_timeout",
        unit="duration",
        doc="HTTP: how long a connection is kept without a request; shorter than the backends keep it themselves.",
    )
    max_queue: int = option(
        values.integer(0, 1_000_000),
        "1024",
        unit="requests",
        doc="HTTP: requests that may wait while every backend is at its max_connections; further ones get 503.",
    )
    queue_timeout_s: float = option(
        values.positive_duration,
        "5s",
        key="queue_timeout",
        unit="duration",
        doc="HTTP: how long a request may wait for a place on a backend; then 503.",
    )
    answers: tuple[AnswerFile, ...] = option(
        answer_files,
        unit="files",
        doc="HTTP: bodies of our own answers for this cluster, STATUS = path to an .html, .json or .txt file, one per "
        "line; they come before the listener's.",
        example="503 = pages/503.html",
    )


@implementer(ISectionKind)
class ClusterKind:
    """``[cluster NAME]``."""

    kind = "cluster"
    named = True
    schema = ClusterSection

    def check(self, section: ClusterSection, configuration: Configuration) -> Iterable[ConfigProblem]:
        """The files of ``answers`` must be usable, and the attributes of the sticky cookie go together."""
        check = section.health_check
        if check is not None and check.kind == "udp" and any(backend.path for backend in section.backends):
            why = "there is no udp to the unix sockets of the cluster"
            yield ConfigProblem(f"cluster {section.name}", "health_check", why, check.kind, "http | tcp")
        if section.sticky_cookie:
            yield from _check_sticky(section)
        yield from check_answers(f"cluster {section.name}", section.answers)


def _check_sticky(section: ClusterSection) -> Iterator[ConfigProblem]:
    title, name = f"cluster {section.name}", section.sticky_cookie
    if section.sticky_same_site == "none" and section.sticky_secure == "no":
        why = "browsers throw away a cookie with SameSite=None that is not Secure"
        yield ConfigProblem(title, "sticky_same_site", why, "none", "sticky_secure = auto | yes")
    if name.startswith(("__Secure-", "__Host-")) and section.sticky_secure != "yes":
        why = f"browsers take {name} with Secure only"
        yield ConfigProblem(title, "sticky_secure", why, section.sticky_secure, "yes")
    if name.startswith("__Host-") and section.sticky_path != "/":
        yield ConfigProblem(title, "sticky_path", f"browsers take {name} with Path=/ only", section.sticky_path, "/")
    if 0 < section.sticky_max_age_s < 1:
        yield ConfigProblem(title, "sticky_max_age", "cookies live for whole seconds", None, "at least 1s, or 0")


def check_answers(title: str, files: Iterable[AnswerFile]) -> Iterator[ConfigProblem]:
    """Yield a problem when template files of a section cannot be used."""
    try:
        load_templates(files)
    except ValueError as error:
        yield ConfigProblem(title, "answers", "a file that cannot be used", None, str(error))


def check_cluster(title: str, key: str, name: str, configuration: Configuration) -> Iterator[ConfigProblem]:
    """Yield a problem when a section names a cluster that the file does not have."""
    known = [section.name for section in configuration.sections("cluster")]
    if name not in known:
        expected = ", ".join(known) or "a [cluster NAME] section"
        yield ConfigProblem(title, key, f"no such cluster{suggestion(name, known)}", name, expected)
