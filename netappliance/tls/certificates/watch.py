"""
Follows a directory of certificates while it is served.

It is looked at every few seconds, a few files at a time; what has changed and come to rest is read in a thread. A file
that is refused is told once, and what it had in force stays so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Cooperator
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from netappliance.tls.certificates.changes import Settling, is_removed, merged
from netappliance.tls.certificates.directory import MAX_FILES, CertificateSet, is_certificate_file
from netappliance.tls.certificates.expiry import ExpiryNotices
from netappliance.tls.certificates.files import (
    CertificateFile,
    Stamp,
    Stamps,
    ocsp_file,
    read_file,
    stamp_of,
)
from netappliance.tls.certificates.refusals import Reason, Refusal
from netappliance.tls.certificates.statistics import CertificateStatistics

_log = Logger()

#: seconds from the end of a look to the next one; and where something has changed that may still be written
INTERVAL_S = 2.0
SETTLE_S = 1.0
#: files that are looked at between two turns of the reactor
SLICE = 50

T = TypeVar("T")
InThread = Callable[..., Deferred[Any]]


class CertificateWatch(Service, Generic[T]):
    """
    Looks; where another certificate is to be served, or might be, has what serves them built anew and swapped.

    :ivar label: how lines of the log begin, such as ``[https web]``. :ivar statistics: has the set in force.
    """

    def __init__(
        self,
        label: str,
        statistics: CertificateStatistics,
        build: Callable[[CertificateSet], T],
        swap: Callable[[T], None],
        reactor: Any,
        *,
        default: str = "",
        may_be_empty: bool = False,
        wall: Callable[[], float] = time.time,
        in_thread: InThread | None = None,
    ) -> None:
        """
        Prepare it; nothing happens before it is started.

        :param build: makes what serves a set, in a thread; certificates that did not change are the same objects as
            before. It is called again with the same set when one of them becomes valid. Where it raises, the old stays.
        :param swap: puts that in force, between two events.
        :param default, may_be_empty: as in :func:`netappliance.tls.certificates.changes.merged`.
        :param wall: seconds since 1970. :param in_thread: runs a function in a thread; the reactor's unless given.
        """
        self.label = label
        self.statistics = statistics
        self._directory = statistics.current.directory
        self._build = build
        self._swap = swap
        self._reactor = reactor
        self._default = default
        self._may_be_empty = may_be_empty
        self._wall = wall
        self._in_thread = in_thread or self._in_the_reactors_threads
        self._settling = Settling()
        self._notices = ExpiryNotices()
        self._next: Any = None
        #: when the next certificate becomes valid
        self._stale_at = float("inf")
        # one step of a look for each turn of the reactor, so that it holds nothing up
        self._cooperator = Cooperator(lambda: lambda: True, lambda step: reactor.callLater(0, step), started=False)

    def startService(self) -> None:
        """Tell what there is to tell of the certificates, and begin to look."""
        super().startService()
        self._cooperator.start()
        current = self.statistics.current
        self._stale_at = current.next_beginning(self._wall())
        for refusal in current.refusals:
            self._tell(refusal)
        for _ in self._tell_expiry():
            pass
        self._next = self._reactor.callLater(INTERVAL_S, self._look)

    def stopService(self) -> None:
        """Look no more; what is being read is not taken up."""
        super().stopService()
        self._cooperator.stop()
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _in_the_reactors_threads(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *arguments)

    def _look(self) -> None:
        self._look_once().addErrback(self._failed).addCallback(self._again)

    def _again(self, _: object) -> None:
        if self.running:
            self._next = self._reactor.callLater(SETTLE_S if self._settling.moving else INTERVAL_S, self._look)

    def _failed(self, failure: Failure) -> None:
        if self.running:
            _log.failure("{label} changed certificates could not be put in force", failure, label=self.label)

    @inlineCallbacks
    def _look_once(self) -> Generator[Deferred[Any], Any, None]:
        changed: dict[str, Stamps | None] = {}
        yield self._cooperator.coiterate(self._compare(changed))
        settled = self._settling.look(changed)
        if settled:
            yield from self._take_up(settled, changed)
        elif self._wall() >= self._stale_at:
            yield from self._put_in_force(self.statistics.current)
        if self.running and self._wall() >= self._notices.due_at:
            yield self._cooperator.coiterate(self._tell_expiry())

    def _compare(self, changed: dict[str, Stamps | None]) -> Iterator[None]:
        """Fill in what differs from what is known, or say what is wrong with the directory."""
        trouble: Refusal | None = None
        known = self.statistics.current.files
        seen: dict[str, Stamp] = {}
        responses: dict[str, Stamp] = {}
        try:
            with os.scandir(self._directory) as entries:
                for number, entry in enumerate(entries, 1):
                    if is_certificate_file(entry.name):
                        seen[entry.name] = stamp_of(entry)
                    elif entry.name.endswith(".ocsp"):
                        responses[entry.name] = stamp_of(entry)
                    if number % SLICE == 0:
                        yield
        except OSError as error:
            if not (self._may_be_empty and isinstance(error, FileNotFoundError)):
                trouble = Refusal("", Reason.UNREADABLE, f"cannot be read: {error.strerror}; changes are not taken up")
        if len(seen) > MAX_FILES:
            trouble = Refusal("", Reason.TOO_MANY, f"holds more than {MAX_FILES} .pem files; changes are not taken up")
        self._tell_trouble(trouble)
        if trouble is not None:
            return
        for number, (file, stamp) in enumerate(seen.items(), 1):
            stamps = stamp, responses.get(ocsp_file(file))
            if file not in known or known[file].stamps != stamps:
                changed[file] = stamps
            if number % SLICE == 0:
                yield
        changed.update({file: None for file in known.keys() - seen.keys() if not is_removed(known[file])})

    def _take_up(self, settled: list[str], changed: dict[str, Stamps | None]) -> Generator[Deferred[Any], Any, None]:
        before = self.statistics.current
        read: list[CertificateFile] = []
        removed = [file for file in settled if changed[file] is None]
        for file in settled:
            if file not in removed:
                # one after the other: each keeps the interpreter for a millisecond
                directory = Path(self._directory)
                known = before.files.get(file)
                read.append((yield self._in_thread(read_file, directory, file, self._wall(), known)))
        merge = partial(merged, default=self._default, may_be_empty=self._may_be_empty)
        after: CertificateSet = yield self._in_thread(merge, before, read, removed)
        if not self.running:
            return
        for file in settled:
            self._tell_of(file, after.files.get(file), before.files.get(file))
        if after.credentials == before.credentials:
            self.statistics.current = after
        else:
            yield from self._put_in_force(after)

    def _put_in_force(self, found: CertificateSet) -> Generator[Deferred[Any], Any, None]:
        self.statistics.current = found
        now = self._wall()
        self._stale_at = found.next_beginning(now)
        self._notices.due_at = now
        built = yield self._in_thread(self._build, found)
        if self.running:
            self._swap(built)
            self.statistics.changes += 1

    def _tell_of(self, file: str, now: CertificateFile | None, before: CertificateFile | None) -> None:
        """Tell what has changed of a file."""
        if now is None:
            _log.info("{label} certificate {file} was removed", label=self.label, file=file)
            return
        for refusal in (now.refusal, now.ocsp_refusal):
            if refusal is not None:
                self.statistics.refusals[refusal.reason] += 1
                if before is None or refusal not in (before.refusal, before.ocsp_refusal):
                    self._tell(refusal)
        credential = now.credential
        as_before = before is not None and before.refusal is None and before.credential is credential
        if now.refusal is None and credential is not None and not as_before:
            names = b", ".join(credential.names[:5]).decode() + (", ..." if len(credential.names) > 5 else "")
            _log.info("{label} certificate {file} taken up: {names}", label=self.label, file=file, names=names)

    def _tell(self, refusal: Refusal) -> None:
        place = f"{self._directory}{'/' if refusal.file else ' '}"
        _log.warn("{label} certificates: {place}{refusal}", label=self.label, place=place, refusal=str(refusal))

    def _tell_trouble(self, trouble: Refusal | None) -> None:
        if trouble is not None and trouble != self.statistics.trouble:
            self.statistics.refusals[trouble.reason] += 1
            self._tell(trouble)
        self.statistics.trouble = trouble

    def _tell_expiry(self) -> Iterator[None]:
        for number, notices in enumerate(self._notices.due(self.statistics.current.credentials, self._wall()), 1):
            for notice in notices:
                _log.warn("{label} certificate {notice}", label=self.label, notice=str(notice))
            if number % SLICE == 0:
                yield
