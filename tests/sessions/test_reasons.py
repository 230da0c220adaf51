"""The close reasons and their translations."""

from __future__ import annotations

import errno
import re
from itertools import product
from pathlib import Path

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
DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def words(reason: CloseReason) -> tuple[str, str, str]:
    """Translate three times."""
    return haproxy_letters(reason), envoy_flags(reason), rubris_reason(reason)


class TranslationTests(SynchronousTestCase):
    """Every reason has a word in each vocabulary, and the common ones have the right word."""

    def test_every_reason_translates_into_the_closed_sets(self) -> None:
        """All combinations, also those that do not happen."""
        for reason in ALL:
            letters = haproxy_letters(reason)
            self.assertRegex(letters, "^([-CSPRIKcs][-RQCHD])$")
            self.assertIn(rubris_reason(reason), RUBRIS)
            self.assertRegex(envoy_flags(reason), "^(-|[A-Z]{2,5})$")

    def test_every_documented_reason_has_the_documented_words(self) -> None:
        """Each row of docs/metrics.md's table of close reasons is what the functions return."""
        pattern = re.compile(r"^\| (\w+)/(\w+)/(\w+) \| [^|]+ \| (\w+) \| `(..)` \| `([^`]+)` \|$", re.MULTILINE)
        rows = pattern.findall(DOCUMENT.read_text())
        self.assertGreater(len(rows), 25)
        for side, phase, cause, rubris, haproxy, envoy in rows:
            reason = CloseReason(Side(side), Phase(phase), Cause(cause))
            self.assertEqual(words(reason), (haproxy, envoy, rubris), str(reason))

    def test_a_normal_end_is_no_error_for_haproxy_and_envoy(self) -> None:
        """FIN while data could flow; FIN earlier is one of whoever sent it."""
        for side, phase in product(Side, Phase):
            found = words(CloseReason(side, phase, Cause.FIN))
            normal = phase in (Phase.DATA, Phase.TUNNEL, Phase.IDLE)
            self.assertEqual(found[0] == "--", normal, (side, phase))
            self.assertEqual(found[1] == "-", normal, (side, phase))
            midway = phase in (Phase.HANDSHAKE, Phase.REQUEST, Phase.HEADERS)
            rubris = ("SOCKET_READ_CLOSED" if midway else "CLIENT_CLOSE") if side is Side.CLIENT else "SERVER_CLOSE"
            self.assertEqual(found[2], rubris, (side, phase))

    def test_haproxys_second_letter_is_the_phase(self) -> None:
        """Request, queue, connect, headers, data, whatever the cause."""
        letters = dict(zip(Phase, "RRRQCHDDDD", strict=True))
        for side, phase, cause in product(Side, Phase, Cause):
            found = haproxy_letters(CloseReason(side, phase, cause))
            if found != "--":
                self.assertEqual(found[1], letters[phase])

    def test_haproxys_first_letter_is_the_cause_or_the_side(self) -> None:
        """In the headers phase, where every cause is an error."""
        for cause, by_side in (
            (Cause.FIN, "CSPK"),
            (Cause.RST, "CSPK"),
            (Cause.TIMEOUT, "cscc"),
            (Cause.LIMIT, "PPPP"),
            (Cause.POLICY, "PPPP"),
            (Cause.PROTOCOL, "PSPP"),
            (Cause.RESOURCE, "RSRR"),
            (Cause.TLS, "PSPP"),
            (Cause.INTERNAL, "IIII"),
            (Cause.SHUTDOWN, "KKKK"),
        ):
            found = "".join(haproxy_letters(CloseReason(side, Phase.HEADERS, cause))[0] for side in Side)
            self.assertEqual(found, by_side, cause)

    def test_envoys_flag(self) -> None:
        """By cause, then phase, then side: client, backend, proxy, admin."""
        for phase, cause, by_side in (
            (Phase.CONNECT, Cause.LIMIT, "UO UO UO UO"),
            (Phase.QUEUE, Cause.LIMIT, "UO UO UO UO"),
            (Phase.CONNECT, Cause.RESOURCE, "UH UH UH UH"),
            (Phase.QUEUE, Cause.RESOURCE, "UH UH UH UH"),
            (Phase.HEADERS, Cause.LIMIT, "OM OM OM OM"),
            (Phase.DATA, Cause.RESOURCE, "OM OM OM OM"),
            (Phase.CONNECT, Cause.POLICY, "UAEX UAEX UAEX UAEX"),
            (Phase.CONNECT, Cause.INTERNAL, "LR LR LR LR"),
            (Phase.CONNECT, Cause.SHUTDOWN, "LR LR LR LR"),
            (Phase.CONNECT, Cause.PROTOCOL, "DPE UPE DPE DPE"),
            (Phase.CONNECT, Cause.RST, "DC UF UF UF"),
            (Phase.CONNECT, Cause.TIMEOUT, "DC UF UF UF"),
            (Phase.CONNECT, Cause.FIN, "DC UF UF UF"),
            (Phase.IDLE, Cause.TIMEOUT, "SI SI SI SI"),
            (Phase.TUNNEL, Cause.TIMEOUT, "SI SI SI SI"),
            (Phase.HEADERS, Cause.TIMEOUT, "DT UT DT DT"),
            (Phase.HEADERS, Cause.RST, "DR UR DR DR"),
            (Phase.HEADERS, Cause.FIN, "DC UC DC DC"),
            (Phase.HANDSHAKE, Cause.TLS, "DC UC DC DC"),
        ):
            found = " ".join(envoy_flags(CloseReason(side, phase, cause)) for side in Side)
            self.assertEqual(found, by_side, (phase, cause))

    def test_rubris_reason(self) -> None:
        """By cause, then side: client, backend, proxy, admin; the phase matters for FIN alone."""
        for cause, by_side in (
            (Cause.PROTOCOL, "PROTOCOL_READ_ERROR PROTOCOL_WRITE_ERROR PROTOCOL_READ_ERROR PROTOCOL_READ_ERROR"),
            (Cause.TLS, "PROTOCOL_READ_ERROR PROTOCOL_WRITE_ERROR PROTOCOL_READ_ERROR PROTOCOL_READ_ERROR"),
            (Cause.LIMIT, "MAX_READS MAX_WRITES MAX_READS MAX_READS"),
            (Cause.INTERNAL, "SERVER_ERROR SERVER_ERROR SERVER_ERROR SERVER_ERROR"),
            (Cause.RESOURCE, "SERVER_ERROR SERVER_ERROR SERVER_ERROR SERVER_ERROR"),
            (Cause.RST, "SOCKET_WRITE_ERROR SOCKET_WRITE_ERROR SOCKET_WRITE_ERROR SOCKET_WRITE_ERROR"),
            (Cause.TIMEOUT, "SERVER_CLOSE SERVER_CLOSE SERVER_CLOSE SERVER_CLOSE"),
            (Cause.POLICY, "SERVER_CLOSE SERVER_CLOSE SERVER_CLOSE SERVER_CLOSE"),
            (Cause.SHUTDOWN, "SERVER_CLOSE SERVER_CLOSE SERVER_CLOSE SERVER_CLOSE"),
        ):
            for phase in Phase:
                found = " ".join(rubris_reason(CloseReason(side, phase, cause)) for side in Side)
                self.assertEqual(found, by_side, (phase, cause))

    def test_the_words_of_our_own(self) -> None:
        """As logs and metrics have them."""
        self.assertEqual(" ".join(side.value for side in Side), "client backend proxy admin")
        phases = "accept handshake request queue connect headers data tunnel idle drain"
        self.assertEqual(" ".join(phase.value for phase in Phase), phases)
        causes = "fin rst timeout limit policy protocol resource tls internal shutdown"
        self.assertEqual(" ".join(cause.value for cause in Cause), causes)
        self.assertEqual(str(CloseReason(Side.CLIENT, Phase.DATA, Cause.FIN)), "client/data/fin")

    def test_socket_errors_are_judged(self) -> None:
        """Who is to blame decides whether a backend is marked."""
        for cause, names in (
            (Cause.TIMEOUT, "ETIMEDOUT"),
            (Cause.RESOURCE, "EMFILE ENFILE ENOBUFS ENOMEM EADDRNOTAVAIL"),
            (Cause.RST, "ECONNREFUSED ECONNRESET EPIPE EHOSTUNREACH ENETUNREACH"),
        ):
            for name in names.split():
                self.assertEqual(cause_of(OSError(getattr(errno, name), "")), cause, name)
