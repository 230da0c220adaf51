"""The close reasons and their translations."""

from __future__ import annotations

import errno
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from netappliance.sessions.reasons import (
    Cause,
    CloseReason,
    Phase,
    Side,
    cause_of,
    envoy_flags,
    haproxy_letters,
    rubris_reason,
)

RUBRIS = {
    "CLIENT_CLOSE",
    "SERVER_CLOSE",
    "SOCKET_READ_CLOSED",
    "SOCKET_WRITE_ERROR",
    "MAX_READS",
    "MAX_WRITES",
    "PROTOCOL_READ_ERROR",
    "PROTOCOL_WRITE_ERROR",
    "SERVER_ERROR",
}
ALL = [CloseReason(*parts) for parts in product(Side, Phase, Cause)]


class TranslationTests(SynchronousTestCase):
    """Every reason has a word in each vocabulary, and the common ones have the right word."""

    def test_every_reason_translates_into_the_closed_sets(self) -> None:
        """All combinations, also those that do not happen."""
        for reason in ALL:
            letters = haproxy_letters(reason)
            self.assertRegex(letters, "^([-CSPRIKcs][-RQCHD])$")
            self.assertIn(rubris_reason(reason), RUBRIS)
            self.assertRegex(envoy_flags(reason), "^(-|[A-Z]{2,5})$")

    def test_common_endings_have_the_words_that_operators_know(self) -> None:
        """HAProxy's letters, Envoy's flag, Rubris' reason."""
        for side, phase, cause, haproxy, envoy, rubris in (
            (Side.CLIENT, Phase.DATA, Cause.FIN, "--", "-", "CLIENT_CLOSE"),
            (Side.BACKEND, Phase.DATA, Cause.FIN, "--", "-", "SERVER_CLOSE"),
            (Side.CLIENT, Phase.DATA, Cause.RST, "CD", "DR", "SOCKET_WRITE_ERROR"),
            (Side.BACKEND, Phase.DATA, Cause.RST, "SD", "UR", "SOCKET_WRITE_ERROR"),
            (Side.PROXY, Phase.IDLE, Cause.TIMEOUT, "cD", "SI", "SERVER_CLOSE"),
            (Side.BACKEND, Phase.CONNECT, Cause.RST, "SC", "UF", "SOCKET_WRITE_ERROR"),
            (Side.BACKEND, Phase.CONNECT, Cause.TIMEOUT, "sC", "UF", "SERVER_CLOSE"),
            (Side.BACKEND, Phase.CONNECT, Cause.RESOURCE, "SC", "UH", "SERVER_ERROR"),
            (Side.PROXY, Phase.CONNECT, Cause.RESOURCE, "RC", "UH", "SERVER_ERROR"),
            (Side.BACKEND, Phase.QUEUE, Cause.LIMIT, "PQ", "UO", "MAX_WRITES"),
            (Side.CLIENT, Phase.HANDSHAKE, Cause.PROTOCOL, "PR", "DPE", "PROTOCOL_READ_ERROR"),
            (Side.CLIENT, Phase.HANDSHAKE, Cause.TIMEOUT, "cR", "DT", "SERVER_CLOSE"),
            (Side.PROXY, Phase.ACCEPT, Cause.POLICY, "PR", "UAEX", "SERVER_CLOSE"),
            (Side.ADMIN, Phase.DRAIN, Cause.SHUTDOWN, "KD", "LR", "SERVER_CLOSE"),
        ):
            reason = CloseReason(side, phase, cause)
            words = (haproxy_letters(reason), envoy_flags(reason), rubris_reason(reason))
            self.assertEqual(words, (haproxy, envoy, rubris), str(reason))

    def test_socket_errors_are_judged(self) -> None:
        """Who is to blame decides whether a backend is marked."""
        judged = [cause_of(OSError(code, "")) for code in (errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EMFILE)]
        self.assertEqual(judged, [Cause.RST, Cause.TIMEOUT, Cause.RESOURCE])
