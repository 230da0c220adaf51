"""An ``[acme]`` service without threads, network and clocks: each is an object that a test moves."""

from __future__ import annotations

import random
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from netappliance.acme.authority import AuthorityError, Challenge, Order
from netappliance.acme.names import certificate_names
from netappliance.acme.section import AcmeSection
from netappliance.acme.service import AcmeService
from netappliance.acme.store import Store
from tests.certificates import Authority as Signer


class Proofs:
    """Remembers which challenges are answered now."""

    def __init__(self) -> None:
        self.answered: dict[tuple[str, str], str] = {}
        self.answered_total = 0

    def present(self, name: str, token: str, key_authorization: str) -> None:
        """Answer one."""
        self.answered[name, token] = key_authorization

    def withdraw(self, name: str, token: str) -> None:
        """Answer it no more."""
        del self.answered[name, token]


class FakeAuthority:
    """
    Signs what it is asked for.

    :ivar fails: raised by the next calls, first to last; None lets one pass. :ivar ordered: names of every order.
    :ivar validated: what was answered while an order was completed. :ivar chain: sent instead of a good one.
    """

    def __init__(self, proofs: Proofs, clock: Clock) -> None:
        self.clock = clock
        self.signer = Signer()
        self.proofs = proofs
        self.fails: deque[Exception | None] = deque()
        self.ordered: list[tuple[str, ...]] = []
        self.validated: list[dict[tuple[str, str], str]] = []
        self.chain: str | None = None

    def _maybe_fail(self) -> None:
        error = self.fails.popleft() if self.fails else None
        if error is not None:
            raise error

    def order(self, names: Sequence[str], request: bytes) -> Order:
        """Ask for a proof of each name."""
        self.ordered.append(tuple(names))
        self._maybe_fail()
        return Order(tuple(Challenge(name, f"token-{name}", f"token-{name}.thumb") for name in names), request)

    def complete(self, order: Order) -> str:
        """Look at the proofs and sign."""
        self.validated.append(dict(self.proofs.answered))
        self._maybe_fail()
        if self.chain is not None:
            return self.chain
        request = x509.load_pem_x509_csr(order.under_way)
        wanted: Any = request.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        key: Any = PublicOnly(request.public_key())
        later = timedelta(seconds=self.clock.seconds())
        starts, ends = later - timedelta(days=1), later + timedelta(days=90)
        names = wanted.get_values_for_type(x509.DNSName)
        return self.signer.leaf(*names, key=key, starts=starts, ends=ends).chain_pem.decode()


class PublicOnly:
    """A key of which only the public half is known."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def public_key(self) -> Any:
        """Return it."""
        return self._key


class Jobs:
    """Blocking calls, run when the test says so."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Deferred[Any], Callable[[], Any]]] = deque()

    def __call__(self, call: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Take one."""
        result: Deferred[Any] = Deferred()
        self.waiting.append((result, lambda: call(*args)))
        return result

    def run_one(self) -> None:
        """Run the oldest, as a thread would."""
        result, call = self.waiting.popleft()
        try:
            value = call()
        except Exception:
            result.errback(Failure())
        else:
            result.callback(value)

    def run(self) -> None:
        """Run all, and those that follow from them."""
        while self.waiting:
            self.run_one()


class AcmeCase(SynchronousTestCase):
    """A service over a store in a folder of its own; its wall clock is ``clock`` and ``epoch`` on top."""

    #: each line's certificate is good from the day before it is issued, for 91 days
    names = "a.example"

    def setUp(self) -> None:
        """Make the world, not yet the service."""
        folder = Path(tempfile.mkdtemp(prefix="acme"))
        self.addCleanup(rmtree, folder, ignore_errors=True)
        self.store = Store(str(folder / "acme"))
        self.proofs = Proofs()
        self.clock = Clock()
        self.authority = FakeAuthority(self.proofs, self.clock)
        self.epoch = self.authority.signer.leaf("x").certificate.not_valid_before_utc.timestamp() + 86400

    def make(self, **settings: Any) -> AcmeService:
        """Make a service, as at the start of a process."""
        self.jobs = Jobs()
        section = AcmeSection(
            **{"names": certificate_names(self.names), "directory": "https://ca.example/", **settings}
        )
        service = AcmeService(
            section,
            self.store,
            self.authority,
            self.proofs,
            self.clock,
            random.Random(1),
            self.jobs,
            lambda: self.epoch + self.clock.seconds(),
        )
        service.privilegedStartService()
        return service

    def begin(self, **settings: Any) -> AcmeService:
        """Make one and start it; nothing is ordered yet."""
        service = self.make(**settings)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def start(self, **settings: Any) -> AcmeService:
        """Make one, start it, and run what is due."""
        service = self.begin(**settings)
        self.turn()
        return service

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, in steps of at most an hour, and run what comes."""
        end = self.clock.seconds() + seconds
        while True:
            self.clock.advance(0)
            self.jobs.run()
            left = end - self.clock.seconds()
            if left <= 0 and not any(call.getTime() <= end for call in self.clock.getDelayedCalls()):
                return
            self.clock.advance(min(left, 3600.0))

    def rate_limited(self, retry_after_s: float = 0.0) -> AuthorityError:
        """What an authority says that wants to be left alone."""
        return AuthorityError("rate_limited", "too many certificates", retry_after_s)
