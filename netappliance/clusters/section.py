"""The ``[cluster NAME]`` section."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netappliance.clusters.backend_section import BackendSection, backend_lines
from netappliance.clusters.balancing import balancer_names
from netappliance.clusters.health import HealthSpec, health_check
from netappliance.config import values
from netappliance.config.answer_files import AnswerFile, answer_files
from netappliance.config.schema import option, suggestion
from netappliance.tls.to_backends.section import BackendTls, backend_tls


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


RETRY_REASONS = ("connect", "broken", "timeout", "502", "503", "504")


def _retry_on(text: str) -> frozenset[str]:
    reasons = values.words(text)
    for reason in reasons:
        if reason not in RETRY_REASONS:
            raise ValueError(f"{', '.join(RETRY_REASONS)}{suggestion(reason, RETRY_REASONS)}")
    return frozenset(reasons)


def _factor(text: str) -> float:
    factor = values.number(0, 1000)(text)
    if 0 < factor <= 1:
        raise ValueError("0, or a number above 1")
    return factor


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
    retry_on: frozenset[str] = option(
        _retry_on,
        "connect, broken",
        unit="reasons",
        doc="What is tried again: connect (a connection that could not be made), and for requests of the methods GET, "
        "HEAD, OPTIONS, PUT, DELETE and TRACE, while nothing of a response has come and all that was sent can be sent "
        "again, broken (the connection broke), timeout (no response within backend_timeout), 502, 503, 504 (responses "
        "with these statuses). Empty = nothing. A kept connection that ended before the request was sent needs no "
        "retry: another one is taken.",
    )
    retry_budget: int = option(
        values.integer(0, 1000),
        "20",
        unit="percent",
        doc="How many retries there may be for each hundred requests (or TCP sessions) of the last 10 seconds; beyond "
        "that and retry_budget_min the failure is told at once.",
    )
    retry_budget_min: int = option(
        values.integer(0, 1_000_000),
        "10",
        unit="retries a second",
        doc="Retries that there may be besides, however few requests there are.",
    )
    outlier_failures: int = option(
        values.integer(0, 1000),
        "0",
        unit="failures",
        doc="Eject a backend after so many failures in a row: connections that could not be made, broke, or brought "
        "what is no response; kept ones that ended between two requests are none. 0 = off. (A failed connection ejects "
        "for a second or more in any case.)",
    )
    outlier_gateway_errors: int = option(
        values.integer(0, 1000),
        "0",
        unit="responses",
        doc="HTTP: eject a backend after so many responses of 502, 503 or 504, or that did not come in time, in a row. "
        "0 = off.",
    )
    outlier_latency: float = option(
        _factor,
        "0",
        unit="times the median",
        doc="HTTP: eject a backend whose mean time to the response's head is above so many times the median of the "
        "cluster's backends, at the end of an interval in which at least 3 of them had outlier_min_requests. 0 = off.",
    )
    outlier_success_rate: float = option(
        values.number(0, 100),
        "0",
        unit="standard deviations",
        doc="HTTP: eject a backend whose share of responses below 500 is so far below the mean of the cluster's "
        "backends; measured likewise. One of n backends cannot be further off than the square root of n - 1, so that "
        "1.9 needs five. 0 = off.",
    )
    outlier_interval_s: float = option(
        values.positive_duration,
        "10s",
        key="outlier_interval",
        unit="duration",
        doc="How long is measured before backends are compared.",
    )
    outlier_min_requests: int = option(
        values.integer(1, 1_000_000),
        "100",
        unit="requests",
        doc="Requests that a backend must have had in an interval to be compared.",
    )
    outlier_time_s: float = option(
        values.positive_duration,
        "30s",
        key="outlier_time",
        unit="duration",
        doc="How long an outlier is ejected: so long times the number of its ejections, less one for each interval in "
        "which it was not ejected.",
    )
    outlier_max_time_s: float = option(
        values.positive_duration,
        "5m",
        key="outlier_max_time",
        unit="duration",
        doc="And never longer than that.",
    )
    outlier_max_ejected: int = option(
        values.integer(0, 100),
        "10",
        unit="percent",
        doc="The largest share of the backends that are ejected as outliers at the same time. One may always be, but "
        "never the last that is up.",
    )
    slow_start_s: float = option(
        values.duration,
        "0",
        key="slow_start",
        unit="duration",
        doc="How long the weight of a backend that is back or has joined grows from a tenth to all of it. Policies "
        "that hash go by the full weight. 0 = off.",
    )
    panic_threshold: int = option(
        values.integer(0, 100),
        "0",
        unit="percent",
        doc="When fewer of the primaries than this can be used, all of them are used, for it is likely that the others "
        "would not bear the load; while none can be, backups come first. 0 = only when nobody else is left.",
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
        doc="http uri=/PATH [expect=200-299] [header=NAME:TEXT] [body=TEXT] [host=NAME] [method=GET] (TEXT must occur "
        "in the field or the body; percent-encoded; ~REGEX is a regular expression, which sees the first 2 KiB), tcp "
        "[send=BASE64] [expect=BASE64], udp send=BASE64 [expect=BASE64], or a plug-in's name and options; then, for "
        "all, interval=10s timeout=5s rise=3 fall=3 port=0 (of the check; 0 = the backend's) initial=up (or checking: "
        "nothing goes to a new backend before rise checks have passed) tls=yes (no: plain, although the cluster has "
        "tls). Empty = off.",
        example="http uri=/healthz expect=200 interval=10s",
    )
    tls: BackendTls | None = option(  # noqa: RUF009 - a field
        backend_tls,
        unit="TLS",
        doc="Of connections to backends: verify [name=HOST] [ca=PATH] [cert=PATH] [key=PATH] [alpn=NAME,...] "
        "[min_tls=1.2]. Certificates must be for the backend's host, or for name=, and from an authority of ca= (PEM), "
        "or of the system's; cert= and key= are shown to backends that ask (a key of mode 0600; it may be in the file "
        "of cert=). insecure, with the same options but ca=, believes whoever answers, and warns at every start. Empty "
        "= no TLS.",
        example="verify name=backend.example.org ca=var/tls/ca.pem",
    )
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
