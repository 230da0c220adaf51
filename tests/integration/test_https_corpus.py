"""HTTP/1.1 over TLS is the HTTP/1.1 that it is without: the corpora and the core's tests, all verdicts the same."""

from __future__ import annotations

from tests.integration import test_http_core, test_http_corpus, test_http_upgrade
from tests.integration.transports import TLS


class RequestCorpusOverTlsTests(test_http_corpus.RequestCorpusTests):
    """Requests, malformed and not."""

    transport = TLS


class ResponseCorpusOverTlsTests(test_http_corpus.ResponseCorpusTests):
    """Responses, malformed and not."""

    transport = TLS


class RoundTripOverTlsTests(test_http_core.RoundTripTests):
    """One request, one response."""

    transport = TLS


class KeepAliveOverTlsTests(test_http_core.KeepAliveTests):
    """Connections that are kept, and their ends."""

    transport = TLS


class PipelineOverTlsTests(test_http_core.PipelineTests):
    """Requests that do not wait for answers."""

    transport = TLS


class ContinueOverTlsTests(test_http_core.ContinueTests):
    """100-continue."""

    transport = TLS


class UpgradeOverTlsTests(test_http_upgrade.UpgradeTests):
    """Tunnels."""

    transport = TLS
