"""The key ``tls`` of ``[cluster NAME]``: how connections to backends are encrypted, and whom they trust."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netappliance.config import values
from netappliance.config.schema import suggestion
from netappliance.errors import ConfigProblem
from netappliance.tls.to_backends.context import ClientSettings, client_context
from netappliance.tls.to_backends.verification import service_identity

_ALPN = re.compile(r"[!-+\--~]{1,255}")


@dataclass(frozen=True, slots=True)
class BackendTls:
    """
    How a cluster speaks TLS with its backends.

    :ivar verify: False = whoever answers is believed (``insecure``). :ivar name: that certificates must be for, and
        that is asked for in the handshake; empty = each backend's own host.
    :ivar settings: of the context.
    """

    verify: bool
    name: str
    settings: ClientSettings


def _name(text: str) -> str:
    name = text.rstrip(".").lower()
    service_identity(name)
    return name


def _path(text: str) -> str:
    if not text:
        raise ValueError("a path")
    return text


def _alpn(text: str) -> tuple[str, ...]:
    protocols = tuple(text.split(","))
    if not all(_ALPN.fullmatch(protocol) for protocol in protocols):
        raise ValueError("names of protocols of 1 to 255 printable ASCII characters, separated by commas")
    return protocols


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "name": _name,
    "ca": _path,
    "cert": _path,
    "key": _path,
    "alpn": _alpn,
    "min_tls": values.choice("1.2", "1.3"),
}


def backend_tls(text: str) -> BackendTls | None:
    """
    Parse ``verify [name=HOST] [ca=PATH] [cert=PATH] [key=PATH] [alpn=NAME,...] [min_tls=1.2]`` or ``insecure ...``.

    :return: None for an empty text, which is no TLS.
    :raises ValueError: with what was expected.
    """
    if not text:
        return None
    mode, *words = text.split()
    if mode not in ("verify", "insecure"):
        raise ValueError(f"verify | insecure{suggestion(mode, ('verify', 'insecure'))}, then options; or nothing")
    given: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        convert = _OPTIONS.get(key)
        if not equals or convert is None:
            expected = ", ".join(f"{known}=" for known in _OPTIONS)
            raise ValueError(f"options {expected}{suggestion(key, _OPTIONS)}")
        if key in given:
            raise ValueError(f"{key}= only once")
        try:
            given[key] = convert(value)
        except ValueError as error:
            raise ValueError(f"{error} in {key}=") from None
    if mode == "insecure" and "ca" in given:
        raise ValueError("no ca= after insecure, which verifies nothing")
    if "key" in given and "cert" not in given:
        raise ValueError("cert= beside key=")
    cert = given.get("cert", "")
    settings = ClientSettings(
        verify=mode == "verify",
        ca=given.get("ca", ""),
        cert=cert,
        # chain and key may be in one file
        key=given.get("key", cert),
        alpn=given.get("alpn", ()),
        min_tls=given.get("min_tls", "1.2"),
    )
    return BackendTls(settings.verify, given.get("name", ""), settings)


def check_backend_tls(title: str, tls: BackendTls | None, hosts: Iterable[tuple[str, str]]) -> Iterator[ConfigProblem]:
    """
    Yield a problem when files cannot be used, or when it is not known what a backend's certificate must be for.

    :param title: of the section. :param hosts: id and host of each backend; no host = a unix socket.
    """
    if tls is None:
        return
    try:
        client_context(tls.settings)
    except ValueError as error:
        yield ConfigProblem(title, "tls", "a file that cannot be used", None, str(error))
    if not tls.verify or tls.name:
        return
    for identifier, host in hosts:
        if not host:
            why = f"backend {identifier} is a unix socket: nothing says what its certificate must be for"
            yield ConfigProblem(title, "tls", why, None, "name=HOST")
            continue
        try:
            service_identity(host)
        except ValueError as error:
            yield ConfigProblem(title, "tls", f"the host of backend {identifier}", host, f"{error}, or name=HOST")
