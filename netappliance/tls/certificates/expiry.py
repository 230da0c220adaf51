"""When an operator is told that certificates and OCSP responses run out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from netappliance.tls.certificates.credential import Credential

DAY_S = 86_400.0
#: days before the end on which it is told, once each, and once at the end; those that are more than half of the
#: certificate's whole time are left out, for its renewal is not due then
WARN_DAYS = (30, 7, 1)

Subject = Literal["begins", "certificate", "ocsp"]


@dataclass(frozen=True, slots=True)
class Notice:
    """
    Something to tell.

    :ivar subject: that a certificate is not valid yet, that it ends, that an OCSP response does. :ivar days: it ends in
        less than that many; 0: it has ended. :ivar at: when, in seconds since 1970.
    """

    credential: Credential
    subject: Subject
    days: int
    at: float

    def __str__(self) -> str:
        """Return it as a line of the log."""
        name, when = self.credential.file, f"{datetime.fromtimestamp(self.at, timezone.utc):%Y-%m-%d %H:%M} UTC"
        if self.subject == "ocsp":
            return f"the OCSP response of {name} ran out on {when}; it is stapled no more"
        if self.subject == "begins":
            return f"{name} is not valid before {when}"
        if not self.days:
            return f"{name} expired on {when}; it is still served"
        return f"{name} expires in less than {self.days} day{'s' if self.days > 1 else ''}, on {when}"


class ExpiryNotices:
    """
    Remembers what was told of which certificate; one that is replaced begins anew.

    :ivar due_at: before this time nothing new is to be told, unless other credentials come, in seconds since 1970.
    """

    def __init__(self) -> None:
        self.due_at = float("-inf")
        #: (file, fingerprint or response, subject) -> how far it has been told
        self._told: dict[tuple[str, str | bytes, Subject], int] = {}

    def due(self, credentials: Iterable[Credential], now: float) -> Iterator[list[Notice]]:
        """
        Yield what is to be told, credential by credential; of several steps that have passed at once the last alone.

        :param credentials: all that are in force; the others are forgotten. :param now: seconds since 1970.
        """
        told: dict[tuple[str, str | bytes, Subject], int] = {}
        due_at = float("inf")
        for credential in credentials:
            notices = []
            for of, subject, steps in _steps(credential):
                passed = [step for step in steps if step[0] <= now]
                due_at = min([due_at, *(at for at, _, _ in steps[len(passed) :])])
                key = (credential.file, of, subject)
                told[key] = len(passed)
                if len(passed) > self._told.get(key, 0):
                    _, days, at = passed[-1]
                    if subject != "begins" or at > now:
                        notices.append(Notice(credential, subject, days, at))
            yield notices
        self._told = told
        self.due_at = due_at


_Steps = list[tuple[float, int, float]]


def _steps(credential: Credential) -> Iterator[tuple[str | bytes, Subject, _Steps]]:
    """Yield of what, the subject, and (when it is told, days that are left, when it happens)."""
    ends = credential.not_after
    yield credential.fingerprint, "begins", [(float("-inf"), 0, credential.not_before)]
    most = (ends - credential.not_before) / 2
    steps = [(ends - days * DAY_S, days, ends) for days in (*WARN_DAYS, 0) if days * DAY_S <= most]
    yield credential.fingerprint, "certificate", steps
    if credential.staple is not None:
        ends = credential.staple.next_update
        yield credential.staple.response, "ocsp", [(ends, 0, ends)]
