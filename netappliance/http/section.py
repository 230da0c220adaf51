"""The ``[http NAME]`` section."""

from __future__ import annotations

from dataclasses import dataclass

from netappliance.config import values
from netappliance.config.answer_files import AnswerFile, answer_files
from netappliance.config.schema import group, option
from netappliance.http.fields import RESERVED
from netappliance.http.framing.names import is_token
from netappliance.http.identity import KINDS
from netappliance.tls.keys import TlsKeys


def _field_name(text: str) -> str:
    if text and not (text.isascii() and is_token(text.encode())):
        raise ValueError("a field name, or nothing")
    if text.lower().encode() in (*RESERVED, b"authorization", b"cookie"):
        raise ValueError("a field of its own, which nothing else is read from")
    return text


def _protocol(text: str) -> str:
    if not (text.isascii() and is_token(text.encode())):
        raise ValueError("a protocol's name such as websocket")
    if text.lower() in ("h2c", "h2", "tls"):
        raise ValueError("a protocol that can be tunnelled, which h2c, h2 and TLS are not")
    return text.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSection:
    """An HTTP/1.1 reverse proxy: listen here; the [route NAME] sections that name it say where requests go."""

    name: str
    listen: tuple[values.Endpoint, ...] = option(
        values.stream_endpoints,
        required=True,
        unit="endpoints",
        doc="Where to listen: tcp:PORT[:interface=ADDRESS][:backlog=N] or unix:PATH[:mode=660], one or more.",
        example="tcp:8080:interface=127.0.0.1",
    )
    request_timeout_s: float = option(
        values.positive_duration,
        "10s",
        key="request_timeout",
        unit="duration",
        doc="The whole head of a request, from accept or from the first byte on a kept connection; then 408.",
    )
    client_timeout_s: float = option(
        values.positive_duration,
        "60s",
        key="client_timeout",
        unit="duration",
        doc="How long a client may be silent in a body or not take a response, and how long a connection may idle "
        "between requests.",
    )
    backend_timeout_s: float = option(
        values.positive_duration,
        "30s",
        key="backend_timeout",
        unit="duration",
        doc="How long a backend may be silent; then 504, or the end of the connection once a response has begun.",
    )
    tunnel_timeout_s: float = option(
        values.duration,
        "10m",
        key="tunnel_timeout",
        unit="duration",
        doc="Close a tunnel (WebSocket) without traffic in either direction for this long; 0 = never.",
    )
    linger_timeout_s: float = option(
        values.positive_duration,
        "2s",
        key="linger_timeout",
        unit="duration",
        doc="How long what a client still sends is read and thrown away after the last response, so that it can read "
        "this one.",
    )
    max_header_size: int = option(
        values.size, "16KiB", unit="size", doc="Largest request head, and trailers of a body; above: 431."
    )
    max_target_size: int = option(values.size, "8KiB", unit="size", doc="Longest request target; above: 414.")
    max_header_fields: int = option(
        values.integer(1, 1000), "128", unit="fields", doc="Most field lines of a request head; above: 431."
    )
    max_body_size: int = option(values.size, "0", unit="size", doc="Largest request body; above: 413; 0 = unlimited.")
    max_response_header_size: int = option(
        values.size, "64KiB", unit="size", doc="Largest head of a backend's response; above: 502."
    )
    min_body_rate: int = option(
        values.integer(0, 1_000_000_000),
        "64",
        unit="bytes/s",
        doc="A request body must come at least this fast on average once it has lasted for request_timeout; below: "
        "408; 0 = any rate.",
    )
    max_requests: int = option(
        values.integer(0, 1_000_000_000),
        "0",
        unit="requests",
        doc="Requests of one connection, the last of which closes it; 0 = unlimited.",
    )
    half_close: str = option(
        values.choice("abort", "serve"),
        "abort",
        doc="What a client's FIN while it waits means: it is gone and the backend's work is aborted, or it reads on.",
    )
    upgrades: tuple[str, ...] = option(
        values.list_of(_protocol),
        "websocket",
        unit="protocols",
        doc="Protocols that a client may upgrade to; a wish for others is left out, and the request goes on as HTTP.",
    )
    proxy_protocol: str = option(
        values.choice("none", "expect"), "none", doc="Expect a PROXY protocol header (version 1 or 2) from clients."
    )
    proxy_protocol_timeout_s: float = option(
        values.positive_duration,
        "3s",
        key="proxy_protocol_timeout",
        unit="duration",
        doc="How long a client may take to send the whole PROXY header.",
    )
    trusted_proxies: tuple[values.Network, ...] = option(
        values.list_of(values.network),
        unit="networks",
        doc="Clients whose X-Forwarded-*, Forwarded and X-Request-Id are believed and extended; those of others, and "
        "of unix sockets, are replaced. docs/operations.md tells what such a proxy must do.",
    )
    identity_headers: tuple[str, ...] = option(
        values.list_of(values.choice(*KINDS)),
        ", ".join(KINDS),
        unit="kinds",
        doc="Which fields tell backends about the client: x-forwarded (-For, -Proto, -Port, -Host), forwarded, "
        "x-real-ip, x-request-id; x-forwarded-client-cert: the client's verified certificate, in Envoy's form.",
    )
    session_header: str = option(
        _field_name, "X-Session-Id", doc="Field that carries the id of the client's connection; empty = none."
    )
    https_redirect: str = option(
        values.choice("no", "301", "302", "308"),
        "no",
        doc="Answer every request that came without TLS with a redirect to https on the same host. What a trusted "
        "proxy says that it took TLS off from (X-Forwarded-Proto) is served.",
    )
    https_redirect_port: int = option(
        values.integer(1, 65535), "443", unit="port", doc="Where https_redirect leads to."
    )
    answers: tuple[AnswerFile, ...] = option(
        answer_files,
        unit="files",
        doc="Bodies of our own answers, STATUS = path to an .html, .json or .txt file, one per line; those of the "
        "[cluster] come first.",
        example="503 = pages/503.html",
    )
    backlog: int = option(
        values.integer(1, 65535),
        "1024",
        unit="connections",
        doc="Length of the kernel's queue of unaccepted connections.",
    )
    reuse_port: bool = option(
        values.boolean, "no", doc="Set SO_REUSEPORT, so that several processes share the address."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsSection(HttpSection):
    """An HTTP/1.1 reverse proxy that ends TLS: every key of [http NAME], and those of TLS."""

    tls: TlsKeys = group(TlsKeys)  # noqa: RUF009 - a field
    strict_sni: bool = option(
        values.boolean,
        "yes",
        doc="TLS: answer 421 to requests for a host that the connection's certificate is not for.",
    )
