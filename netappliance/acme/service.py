"""The service of ``[acme]``: one order at a time, in a thread; its challenges are answered by the reactor's side."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from netappliance.acme.authority import AUTHORITY, INTERNAL, OK, RESULTS, Authority, AuthorityError, Order, Proofs
from netappliance.acme.certificate import Certificate
from netappliance.acme.pem import Held, issued_pem, make_key, make_placeholder, make_request
from netappliance.acme.schedule import Schedule
from netappliance.acme.section import AcmeSection
from netappliance.acme.store import Store, StoreError

_log = Logger()

P = ParamSpec("P")
T = TypeVar("T")

#: how often the wall clock is looked at, at least (seconds): it may leap, and a host may sleep
LOOK_S = 3600.0


def in_thread(reactor: Any, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """
    Return a Deferred of what a blocking function returns.

    In a thread of its own, which no stop waits for: an authority may be silent for long, and threads of the reactor's
    pool are for others.
    """
    result: Deferred[T] = Deferred()

    def run() -> None:
        try:
            value = call(*args, **kwargs)
        except Exception:  # noqa: BLE001 - whoever waits handles it
            reactor.callFromThread(result.errback, Failure())
        else:
            reactor.callFromThread(result.callback, value)

    threading.Thread(target=run, name="acme", daemon=True).start()
    return result


#: runs a function with arguments elsewhere: :func:`in_thread` with its reactor
Elsewhere = Callable[Concatenate[Callable[..., Any], ...], Deferred[Any]]


class AcmeService(Service):
    """
    Keeps the certificates of a section.

    A failing authority costs nothing but the renewal: what is in the store stays, and the start does not wait.

    :param proofs: where challenges are answered. :param wall: Unix seconds.
    :param rng: for jitter. :param elsewhere: what blocks is called by it.
    :ivar certificates: in the order of the file. :ivar orders: how many ended, by result.
    :ivar ordering: the certificate whose order is under way, or None.
    """

    name = "acme"

    def __init__(
        self,
        section: AcmeSection,
        store: Store,
        authority: Authority,
        proofs: Proofs,
        reactor: Any,
        rng: random.Random,
        elsewhere: Elsewhere | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.section = section
        self.certificates = [Certificate(names, self._schedule(section, rng)) for names in section.names]
        self.orders = dict.fromkeys(RESULTS, 0)
        self.ordering: Certificate | None = None
        self._store = store
        self._authority = authority
        self._proofs = proofs
        self._reactor = reactor
        self._wall = wall
        self._elsewhere: Elsewhere = elsewhere or (lambda call, *args: in_thread(reactor, call, *args))
        self._call: Any = None
        self._under_way: Deferred[None] | None = None

    @staticmethod
    def _schedule(section: AcmeSection, rng: random.Random) -> Schedule:
        return Schedule(section.renew_before_s, section.retry_interval_s, section.retry_max_s, rng)

    @property
    def challenges_answered(self) -> int:
        """How often an authority asked for a proof, and got it."""
        return self._proofs.answered_total

    def now(self) -> float:
        """Return Unix seconds."""
        return self._wall()

    # -- start and stop -----------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        Look at the store, as far as it is there.

        :raises StartError: it cannot be used.
        """
        super().privilegedStartService()
        self._store.check()

    def startService(self) -> None:
        """
        Take up what is in the store; where there is no certificate yet, put a placeholder for listeners to begin with.

        What is due is ordered as soon as the reactor runs. A store that cannot be made is told, and tried again then.
        """
        super().startService()
        try:
            self._store.prepare()
        except StoreError as error:
            _log.error("{why}", why=str(error))
        state = self._store.read_state()
        now = self._wall()
        for certificate in self.certificates:
            certificate.take_up(self._held(certificate, now), state.get(certificate.name), self.section.directory, now)
        self._look_in(0.0)

    def _held(self, certificate: Certificate, now: float) -> Held | None:
        try:
            held = self._store.read_certificate(certificate.name)
            if held is None:
                self._store.write_certificate(certificate.name, make_placeholder(certificate.names, now))
                held = self._store.read_certificate(certificate.name)
        except (OSError, ValueError) as error:
            path = self._store.certificate_path(certificate.name)
            _log.warn("[acme] {path} cannot be used, a new one is ordered: {why}", path=str(path), why=str(error))
            return None
        return held

    def stopService(self) -> None:
        """Give an order under way up; the authority forgets it by itself."""
        super().stopService()
        if self._call is not None and self._call.active():
            self._call.cancel()
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.cancel()

    def order_now(self, name: str) -> None:
        """
        Order a certificate as soon as the order under way has ended, for an operator.

        :raises KeyError: there is none of this name.
        """
        certificate = {each.name: each for each in self.certificates}[name]
        certificate.schedule.order_now()
        if self._call is not None and self._call.active():
            self._call.reset(0.0)

    # -- what is due --------------------------------------------------------------------------------------------------

    def _look_in(self, seconds: float) -> None:
        self._call = self._reactor.callLater(seconds, self._look)

    def _look(self) -> None:
        """Order what has been due for the longest time, or wait."""
        due = min(self.certificates, key=lambda certificate: certificate.schedule.next_at)
        wait = due.schedule.next_at - self._wall()
        if wait > 0:
            self._look_in(min(wait, LOOK_S))
            return
        self._under_way = Deferred.fromCoroutine(self._keep(due))
        self._under_way.addErrback(_given_up)

    async def _keep(self, certificate: Certificate) -> None:
        """Order one certificate, book how it went, and look for the next."""
        self.ordering = certificate
        result, why, retry_after_s = OK, "", 0.0
        try:
            held = await self._order(certificate)
        except CancelledError:
            raise
        except AuthorityError as error:
            result, why, retry_after_s = error.result, str(error), error.retry_after_s
        except (StoreError, OSError) as error:
            result, why = INTERNAL, str(error)
        except Exception as error:  # noqa: BLE001 - a bug must not end renewals
            _log.failure("[acme] {name}: a bug in ordering its certificate", name=certificate.name)
            result, why = INTERNAL, f"{type(error).__name__}: {error}"
        finally:
            self.ordering = None
        self.orders[result] += 1
        now = self._wall()
        if result == OK:
            certificate.issued(held, now)
            self._tell_issued(certificate)
        else:
            certificate.failed(result, why, retry_after_s, now)
            self._tell_failed(certificate, result, why, now)
        await self._remember()
        self._look_in(0.0)

    async def _order(self, certificate: Certificate) -> Held:
        key, order = await self._elsewhere(self._begin, certificate)
        presented = []
        try:
            for each in order.challenges:
                self._proofs.present(each.name, each.token, each.key_authorization)
                presented.append(each)
            held: Held = await self._elsewhere(self._complete, certificate, order, key)
        finally:
            for each in presented:
                self._proofs.withdraw(each.name, each.token)
        return held

    def _begin(self, certificate: Certificate) -> tuple[bytes, Order]:
        """Blocks: make a key and order."""
        self._store.prepare()
        key = make_key(self.section.key_type)
        return key, self._authority.order(certificate.names, make_request(key, certificate.names))

    def _complete(self, certificate: Certificate, order: Order, key: bytes) -> Held:
        """Blocks: have it issued, look at it, and put it into the store."""
        chain = self._authority.complete(order)
        try:
            data, held = issued_pem(chain, key, certificate.names, self._wall())
        except ValueError as error:
            raise AuthorityError(AUTHORITY, f"what was issued cannot be used: {error}") from None
        self._store.write_certificate(certificate.name, data)
        return held

    async def _remember(self) -> None:
        state = {each.name: each.to_keep(self.section.directory) for each in self.certificates}
        try:
            await self._elsewhere(self._store.write_state, state)
        except OSError as error:
            _log.warn("[acme] store: attempts cannot be kept: {why}", why=str(error))

    def _tell_issued(self, certificate: Certificate) -> None:
        _log.info(
            "[acme] {name}: a certificate was issued for {names}, good until {expires}, renewed about {renewal}",
            name=certificate.name,
            names=" ".join(certificate.names),
            expires=utc(certificate.expires),
            renewal=utc(certificate.schedule.renew_at),
        )

    def _tell_failed(self, certificate: Certificate, result: str, why: str, now: float) -> None:
        _log.warn(
            "[acme] {name}: no certificate ({result}): {why}; the next attempt is at {next}; {served}",
            name=certificate.name,
            result=result,
            why=why,
            next=utc(certificate.schedule.retry_at),
            served=f"the old one is good until {utc(certificate.expires)}"
            if certificate.state(now) == "valid"
            else f"the one that is served is {certificate.state(now)}",
        )


def _given_up(failure: Failure) -> None:
    failure.trap(CancelledError)


def utc(seconds: float) -> str:
    """Return Unix seconds as a date and time (RFC 3339)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
