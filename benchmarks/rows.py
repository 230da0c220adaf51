"""The rows of the tables: what is measured, and in which unit."""

from __future__ import annotations

#: our builds, as every table calls them
PURE, COMPILED = "netappliance", "netappliance compiled"
OURS = (PURE, COMPILED)

HTTP_REQUESTS = "http requests/s over 64 connections"
HTTP_REQUESTS_CPU = "http requests: CPU us each"
HTTP_RESPONSES = "http 1 MiB responses MiB/s"
HTTP_RESPONSES_CPU = "http 1 MiB responses: CPU us per MiB"
HTTP_CHUNKED = "http 1 MiB responses in chunks MiB/s"
HTTP_CHUNKED_CPU = "http 1 MiB responses in chunks: CPU us per MiB"
HTTP_UPLOADS = "http 1 MiB uploads MiB/s"
HTTP_UPLOADS_CPU = "http 1 MiB uploads: CPU us per MiB"
HTTP_POSTS = "http 16 KiB posts/s over 64 connections"
HTTP_POSTS_CPU = "http 16 KiB posts: CPU us each"
HTTP_CONNECTIONS = "http new connections/s, one request each"
HTTP_CONNECTIONS_CPU = "http new connections: CPU us each"
#: beside HTTP_REQUESTS, which has one route
HTTP_PLAIN_ROUTES = "http requests/s with 5 000 routes"
HTTP_PLAIN_ROUTES_CPU = "http requests with 5 000 routes: CPU us each"
HTTP_REGEX_ROUTES = "http requests/s with 200 regex routes"
HTTP_REGEX_ROUTES_CPU = "http requests with 200 regex routes: CPU us each"
HTTPS_REQUESTS = "https requests/s over 64 connections"
HTTPS_REQUESTS_CPU = "https requests: CPU us each"
HTTPS_RESPONSES = "https 1 MiB responses MiB/s"
HTTPS_RESPONSES_CPU = "https 1 MiB responses: CPU us per MiB"
#: TLS 1.3, P-256 certificate; up to the session ticket, without a request
HTTPS_HANDSHAKES = "https full handshakes/s"
HTTPS_HANDSHAKES_CPU = "https full handshakes: CPU us each"
HTTPS_RESUMED = "https resumed handshakes/s"
HTTPS_RESUMED_CPU = "https resumed handshakes: CPU us each"
HTTPS_MEMORY = "https MiB added by idle connections"
TCP_MESSAGES = "tcp small requests/s over 64 connections"
TCP_MESSAGES_CPU = "tcp small requests: CPU us each"
TCP_CONNECTIONS = "tcp new connections/s"
TCP_CONNECTIONS_CPU = "tcp new connections: CPU us each"
TCP_DOWN = "tcp 1 MiB down MiB/s"
TCP_DOWN_CPU = "tcp 1 MiB down: CPU us per MiB"
TCP_UP = "tcp 1 MiB up MiB/s"
TCP_UP_CPU = "tcp 1 MiB up: CPU us per MiB"
TCP_BULK_DOWN = "tcp bulk download MiB/s"
TCP_BULK_DOWN_CPU = "tcp bulk download: CPU us per MiB"
TCP_BULK_UP = "tcp bulk upload MiB/s"
TCP_BULK_UP_CPU = "tcp bulk upload: CPU us per MiB"
TCP_IDLE = "tcp RSS MiB with idle connections"
UDP_50 = "udp 50 sessions"
UDP_1000 = "udp 1000 sessions"
#: ours finds the backend by a token, the others forward as they do above
UDP_FILTERS = "udp capture + token_router"
UDP_MEMORY = "udp MiB added by 10 000 sessions"
TRACKER_LOAD = "tracker: seconds to load 200 000 connections"
TRACKER_MEMORY = "tracker: MiB added by them"
TRACKER_SCRAPE = "tracker: ms of a scrape with them"
TRACKER_TURN = "tracker: ms of the longest reactor turn while loading"
TRACKER_EVENTS = "tracker: CPU us for each of 2000 new connections a second"


def rate(row: str) -> str:
    """Round trips a second in a row of UDP."""
    return f"{row}: round trips/s"


def cpu(row: str) -> str:
    """CPU of a round trip in a row of UDP."""
    return f"{row}: CPU us per round trip"


def p50(row: str) -> str:
    """The median round trip in a row of UDP."""
    return f"{row}: p50 us"


def p99(row: str) -> str:
    """The 99th percentile of round trips in a row of UDP."""
    return f"{row}: p99 us"


def at_half(what: str, build: str) -> str:
    """Latency (``p50 us``, ``p99 us``) or CPU (``CPU us each``) of requests at half of a build's maximum."""
    return f"http {what} at half of {build}'s maximum"
