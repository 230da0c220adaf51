"""The authority by certbot's ``acme`` library (RFC 8555), which blocks; imported when the section is there."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from acme import challenges, client, errors, messages
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64encode
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from requests import Response
from requests.exceptions import ConnectionError as Unconnected
from requests.exceptions import RequestException, Timeout

from netappliance import __version__
from netappliance.acme.authority import (
    AUTHORITY,
    RATE_LIMITED,
    REFUSED,
    TIMEOUT,
    UNREACHABLE,
    AuthorityError,
    Challenge,
    Order,
)
from netappliance.acme.schedule import retry_after_s
from netappliance.acme.section import AcmeSection
from netappliance.acme.store import Store, StoreError

#: bytes of the largest answer that is read
MAX_ANSWER = 1 << 20
#: characters of an authority's text that are kept
MAX_WHY = 500

T = TypeVar("T")

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,512}")


def system_ca() -> str | bool:
    """Return where the system keeps the certificates that it trusts; True = it does not say, requests has its own."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


class LibraryAuthority:
    """
    An account at the section's directory.

    Every order begins with the directory and connections of its own, so that nothing has to be kept well in between.
    """

    def __init__(self, section: AcmeSection, store: Store) -> None:
        self._section = section
        self._store = store
        self._last: Response | None = None

    # -- an order -----------------------------------------------------------------------------------------------------

    def order(self, names: Sequence[str], request: bytes) -> Order:
        """Find or make the account, order, and say what is to be proven."""
        key, uri = self._account()
        network = self._network(key)
        try:
            return self._told(lambda: self._begin(network, key, uri, names, request))
        except BaseException:
            network.session.close()
            raise

    def _begin(
        self, network: client.ClientNetwork, key: JWKEC, uri: str, names: Sequence[str], request: bytes
    ) -> Order:
        directory = client.ClientV2.get_directory(self._section.directory, network)
        acme = client.ClientV2(directory, network)
        profile = self._section.profile or None
        if uri:
            network.account = _account_at(uri)
        else:
            self._register(acme, key)
        try:
            order = acme.new_order(request, profile)
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
            # an authority that forgot us, as test environments do
            self._register(acme, key)
            order = acme.new_order(request, profile)
        wanted = [authorization for authorization in order.authorizations if not _valid(authorization)]
        bodies = [_challenge_of(authorization, self._section.challenge) for authorization in wanted]
        for one in wanted:
            name = one.body.identifier.value
            if name not in names:
                raise AuthorityError(AUTHORITY, f"a proof of {_shortened(str(name))!r}, which was not ordered")
        found = [_proof(one, body, key) for one, body in zip(wanted, bodies, strict=True)]
        return Order(tuple(found), (acme, order, bodies))

    def complete(self, order: Order) -> str:
        """Ask for the validations and wait for them, then for the certificate."""
        acme, resource, bodies = order.under_way
        try:
            chain = self._told(lambda: self._finish(acme, resource, bodies))
        finally:
            acme.net.session.close()
        if not isinstance(chain, str):
            raise AuthorityError(AUTHORITY, "no certificate came")
        return chain

    def _finish(
        self, acme: client.ClientV2, order: messages.OrderResource, bodies: Sequence[messages.ChallengeBody]
    ) -> Any:
        # the library's clock is the wall's, without a zone
        now = datetime.now()  # noqa: DTZ005, TID251
        deadline = now + timedelta(seconds=self._section.order_timeout_s)
        for body in bodies:
            # an answer is empty, whatever the challenge (section 7.5.1)
            acme.answer_challenge(body, challenges.HTTP01Response(key_authorization=""))
        return acme.finalize_order(acme.poll_authorizations(order, deadline), deadline).fullchain_pem

    # -- the account --------------------------------------------------------------------------------------------------

    def _account(self) -> tuple[JWKEC, str]:
        """Return the key and the URI of the account in the store; a new key and nothing where there is none."""
        account = self._store.read_account(self._section.directory)
        if account is None:
            return JWKEC(key=ec.generate_private_key(ec.SECP256R1())), ""
        try:
            loaded = JWKEC.from_json(account["key"])
        except (JoseError, KeyError, ValueError, TypeError, AttributeError):
            loaded = None
        if not isinstance(loaded, JWKEC):
            raise StoreError("the account's key is none; move its file away to have a new account made")
        return loaded, str(account["uri"])

    def _register(self, acme: client.ClientV2, key: JWKEC) -> None:
        acme.net.account = None
        section = self._section
        wanted = messages.NewRegistration.from_data(
            email=section.email or None,
            terms_of_service_agreed=True,
            external_account_binding=messages.ExternalAccountBinding.from_data(
                key.public_key(), section.eab_key_id, section.eab_secret, acme.directory
            )
            if section.eab_key_id
            else None,
        )
        try:
            uri = acme.new_account(wanted).uri
        except errors.ConflictError as error:
            # the key has an account there already
            uri = error.location
        acme.net.account = _account_at(uri)
        self._store.write_account(self._section.directory, {"uri": uri, "key": key.to_json()})

    # -- requests -----------------------------------------------------------------------------------------------------

    def _network(self, key: JWKEC) -> client.ClientNetwork:
        verify: Any = self._section.ca or system_ca()
        network = client.ClientNetwork(
            key,
            alg=ES256,
            verify_ssl=verify,
            user_agent=f"netappliance/{__version__}",
            timeout=self._section.request_timeout_s,  # type: ignore[arg-type]
        )
        network.session.hooks["response"].append(self._answered)
        # an authority that leads elsewhere leads to nothing that is read on its way (section 6.1)
        del network.session.adapters["http://"]
        return network

    def _answered(self, response: Response, *_: Any, **__: Any) -> None:
        """Remember the last answer, for its Retry-After, and read no more of it than makes sense."""
        self._last = response
        body = b""
        for piece in response.iter_content(65536):
            body += piece
            if len(body) > MAX_ANSWER:
                response.close()
                raise AuthorityError(AUTHORITY, f"an answer of more than {MAX_ANSWER} bytes")
        response._content = body  # noqa: SLF001 - as if requests had read it
        # gives the connection back, which reading does not where there is nothing to read
        response.close()

    def _told(self, call: Callable[[], T]) -> T:
        """Call; what the library raises becomes an :class:`AuthorityError`, which holds none of its connections."""
        self._last = None
        try:
            return call()
        except (errors.Error, JoseError, RequestException, ValueError, KeyError, TypeError, AttributeError) as error:
            failure = self._failure(error)
        finally:
            self._last = None
        raise failure

    def _failure(self, error: Exception) -> AuthorityError:
        if isinstance(error, messages.Error):
            return self._problem(error)
        if isinstance(error, errors.IssuanceError):
            return self._problem(error.error)
        if isinstance(error, errors.ValidationError):
            return AuthorityError(REFUSED, _failed_validations(error), self._retry_after_s())
        if isinstance(error, errors.TimeoutError):
            return AuthorityError(TIMEOUT, f"not done within order_timeout = {self._section.order_timeout_s:g} s")
        if isinstance(error, Unconnected | Timeout):
            return AuthorityError(UNREACHABLE, _shortened(str(error)))
        # the library's way to say that an answer makes no sense
        return self._nonsense(error)

    def _problem(self, error: messages.Error) -> AuthorityError:
        code, last = error.code, self._last
        result = RATE_LIMITED if code == "rateLimited" else REFUSED
        # words that the library does not know: the status says whose fault it is
        if code == "serverInternal" or (code is None and (last is None or not 400 <= last.status_code < 500)):
            result = AUTHORITY
        return AuthorityError(result, _shortened(str(error)), self._retry_after_s())

    def _nonsense(self, error: Exception) -> AuthorityError:
        last = self._last
        if last is not None and not last.ok:
            result = RATE_LIMITED if last.status_code == 429 else AUTHORITY
            return AuthorityError(result, f"HTTP status {last.status_code}", self._retry_after_s())
        return AuthorityError(AUTHORITY, _shortened(f"{type(error).__name__}: {error}"))

    def _retry_after_s(self) -> float:
        last = self._last
        return 0.0 if last is None else retry_after_s(last.headers.get("Retry-After", ""), time.time())


def _account_at(uri: str) -> messages.RegistrationResource:
    return messages.RegistrationResource(uri=uri, body=messages.Registration())


def _valid(authorization: messages.AuthorizationResource) -> bool:
    return bool(authorization.body.status == messages.STATUS_VALID)


def _challenge_of(authorization: messages.AuthorizationResource, kind: str) -> messages.ChallengeBody:
    """Return the challenge of one kind; the library does not know tls-alpn-01, so look at what came."""
    for body in authorization.body.challenges:
        if body.chall.to_json().get("type") == kind:
            return body
    name = authorization.body.identifier.value
    raise AuthorityError(REFUSED, f"the authority does not offer {kind} for {name}")


def _proof(authorization: messages.AuthorizationResource, body: messages.ChallengeBody, key: JWKEC) -> Challenge:
    token = body.chall.to_json().get("token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        # it becomes a part of a path (section 8.1: base64url, 128 bits at least)
        raise AuthorityError(AUTHORITY, "a challenge without a token that can be one")
    thumbprint = b64encode(key.thumbprint(hash_function=hashes.SHA256)).decode()
    return Challenge(authorization.body.identifier.value, token, f"{token}.{thumbprint}")


def _failed_validations(error: errors.ValidationError) -> str:
    failed = [
        f"{authorization.body.identifier.value}: {body.error}"
        for authorization in error.failed_authzrs
        for body in authorization.body.challenges
        if body.error is not None
    ]
    return _shortened("; ".join(failed))


def _shortened(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))[:MAX_WHY]
