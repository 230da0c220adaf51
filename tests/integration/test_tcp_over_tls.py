"""TCP behind TLS that the proxy ends: what arrives and how sessions end is what it is without."""

from __future__ import annotations

from tests.integration import test_tcp
from tests.integration.transports import TLS


class TransferOverTlsTests(test_tcp.TransferTests):
    """Bytes arrive as they were sent."""

    transport = TLS


class EndingOverTlsTests(test_tcp.EndingTests):
    """Every end has its reason."""

    transport = TLS
