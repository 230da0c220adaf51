"""
``[manhole]``: an SSH server with a Python prompt inside the running appliance, for live debugging.

Public keys only; no password, no telnet, no commands, no forwarding, no subsystems. Whoever logs in can do what the
process can do: the key file is the whole protection, so a doubtful one stops the start instead of weakening the door.
Importing this module imports Twisted's reactor (conch does), so it is loaded only when the section is there.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from twisted.application.service import MultiService
from twisted.conch.error import ConchError, ValidPublicKey
from twisted.conch.insults import insults
from twisted.conch.interfaces import IConchUser, ISession
from twisted.conch.manhole import Manhole
from twisted.conch.manhole_ssh import TerminalSession, TerminalSessionTransport, TerminalUser
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.connection import MSG_CHANNEL_OPEN_FAILURE, OPEN_UNKNOWN_CHANNEL_TYPE, SSHConnection
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.session import SSHSession
from twisted.conch.ssh.transport import SSHServerTransport
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from zope.interface import implementer

from netappliance.admin.manhole_section import ManholeSection
from netappliance.admin.ssh_keys import fingerprint, load_authorized_keys, load_or_make_host_key
from netappliance.endpoints.listening import ListeningService
from netappliance.errors import StartError

_log = Logger()

SIGNATURE_ALGORITHMS = (
    b"ssh-ed25519",
    b"sk-ssh-ed25519@openssh.com",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
)


@dataclass(frozen=True)
class Login:
    """Who passed the key check: the name that the client gave (not verified) and the key's fingerprint (verified)."""

    user: str
    fingerprint: str


@implementer(ICredentialsChecker)
class AuthorizedKeyChecker:
    """
    Accepts any user name with a key of the authorized_keys file, which is read anew for each attempt so that removing a
    key takes effect at once; a file that has become doubtful lets nobody in.
    """

    credentialInterfaces = (ISSHPrivateKey,)

    def __init__(self, path: str) -> None:
        self._path = path

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """Check a key offer or a signature. :return: fires with :class:`Login` or fails with UnauthorizedLogin."""
        offered = fingerprint(credentials.blob)
        try:
            authorized = credentials.blob in load_authorized_keys(self._path)
        except StartError as error:
            _log.error("manhole lets nobody in: {why}", why=str(error))
            authorized = False
        if not authorized:
            _log.warn("manhole refuses key {fingerprint}", fingerprint=offered)
            return fail(UnauthorizedLogin("key not authorized"))
        if not credentials.signature:
            return fail(ValidPublicKey())
        try:
            if getNS(credentials.signature)[0] == b"ssh-rsa":  # SHA-1
                return fail(UnauthorizedLogin("signature algorithm too weak"))
            verified = Key.fromString(credentials.blob).verify(credentials.signature, credentials.sigData)
        except Exception:  # noqa: BLE001 - whatever a forged signature breaks in a parser is a failed login
            verified = False
        if not verified:
            _log.warn("manhole refuses a bad signature for key {fingerprint}", fingerprint=offered)
            return fail(UnauthorizedLogin("bad signature"))
        return succeed(Login(credentials.username.decode("utf-8", "replace"), offered))


class ManholeChannel(SSHSession):
    """An SSH session channel that gives a prompt and nothing else."""

    def request_exec(self, data: bytes) -> int:
        """Refuse ``ssh host command`` (RFC 4254 section 6.5)."""
        return 0

    def request_subsystem(self, data: bytes) -> int:
        """Refuse sftp and the like."""
        return 0


class ManholeSession(TerminalSession):
    """The terminal of one login; survives clients without a terminal, window changes and end of input."""

    width, height = 80, 24
    _terminal: insults.ServerProtocol | None = None

    def openShell(self, proto: Any) -> None:
        """Start the prompt."""
        self._terminal = self.chainedProtocolFactory()
        # a client without a terminal says 0 x 0
        self.transportFactory(proto, self._terminal, IConchUser(self.original), self.width or 80, self.height or 24)

    def windowChanged(self, newWindowSize: tuple[int, int, int, int]) -> None:
        """Follow the client's window. :param newWindowSize: rows, columns, pixels wide, pixels high."""
        self.height, self.width = newWindowSize[:2]
        protocol: Any = self._terminal and self._terminal.terminalProtocol
        if protocol is not None:
            protocol.terminalSize(self.width, self.height)

    def eofReceived(self) -> None:
        """The client sends no more: close, after what it sent has been evaluated."""
        if self._terminal is not None:
            self._terminal.loseConnection()


class ManholeUser(TerminalUser):
    """A logged-in operator."""

    def __init__(self, original: Componentized, avatarId: Login) -> None:
        super().__init__(original, avatarId)
        self.login = avatarId
        self.channelLookup = {b"session": ManholeChannel}
        self.subsystemLookup: dict[bytes, Any] = {}


@implementer(IRealm)
class ManholeRealm:
    """Makes the operator's terminal over an explicit namespace; at most ``max_logins`` at once."""

    def __init__(self, namespace: Mapping[str, object], max_logins: int) -> None:
        self.logins = 0
        self._namespace = namespace
        self._max_logins = max_logins

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> tuple[Any, ManholeUser, Any]:
        """
        :param avatarId: a :class:`Login`.
        :return: (IConchUser, the user, what ends the login).
        :raises UnauthorizedLogin: too many logins are open.
        """
        if IConchUser not in interfaces:
            raise ConchError("the manhole gives terminals only")
        if self.logins >= self._max_logins:
            _log.warn("manhole refuses a login: {limit} are open", limit=self._max_logins)
            raise UnauthorizedLogin("too many logins")
        parts = Componentized()
        user = ManholeUser(parts, avatarId)
        session = ManholeSession(parts)
        session.transportFactory = TerminalSessionTransport
        prompt: Any = lambda: insults.ServerProtocol(Manhole, dict(self._namespace))
        session.chainedProtocolFactory = prompt
        parts.setComponent(IConchUser, user)
        parts.setComponent(ISession, session)
        self.logins += 1
        return IConchUser, user, self._ended

    def _ended(self) -> None:
        self.logins -= 1


class ManholeConnection(SSHConnection):
    """The connection protocol after the login; conch logs a traceback for each channel that is not a session."""

    def ssh_CHANNEL_OPEN(self, packet: bytes) -> None:
        """Refuse tunnels and the like quietly (RFC 4254 section 5.1)."""
        kind, rest = getNS(packet)
        if kind == b"session":
            super().ssh_CHANNEL_OPEN(packet)
            return
        _log.info("manhole refuses a channel of type {kind}", kind=kind)
        answer = rest[:4] + struct.pack(">L", OPEN_UNKNOWN_CHANNEL_TYPE) + NS(b"sessions only") + NS(b"")
        assert self.transport is not None
        self.transport.sendPacket(MSG_CHANNEL_OPEN_FAILURE, answer)


class ManholeUserAuth(SSHUserAuthServer):
    """User authentication with a limit on attempts; the time limit is the transport's."""

    attemptsBeforeDisconnect = 10


class ManholeTransport(SSHServerTransport):
    """One SSH connection: has a deadline for the login, and logs login and logout."""

    factory: ManholeFactory
    _deadline: Any = None
    _logged_in: Login | None = None

    def connectionMade(self) -> None:
        """Start the clock for the login."""
        super().connectionMade()
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(True)
        self._deadline = self.factory.clock.callLater(self.factory.login_timeout_s, self._too_slow)

    def sendExtInfo(self, extensions: list[tuple[bytes, bytes]]) -> None:
        """Say what users' signatures we check (RFC 8308 section 3.1); conch names its host key's, no RSA."""
        super().sendExtInfo([(b"server-sig-algs", b",".join(SIGNATURE_ALGORITHMS))])

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        """The client says why it goes; that is no error of ours (RFC 4253 section 11.1)."""
        _log.info("manhole client leaves: {description}", code=reasonCode, description=description)

    def _too_slow(self) -> None:
        self._deadline = None
        _log.info("manhole closes {peer}: no login in time", peer=self._peer())
        cast("Any", self.transport).abortConnection()

    def _peer(self) -> str:
        address = cast("Any", self.transport).getPeer()
        host, port = getattr(address, "host", None), getattr(address, "port", None)
        return f"{host}:{port}" if host else "unix"

    def setService(self, service: Any) -> None:
        """Called for userauth first, and for the connection service once the key was accepted."""
        if service.name == b"ssh-connection" and self._logged_in is None:
            self._logged_in = cast("ManholeUser", self.avatar).login
            self._stop_clock()
            _log.info("manhole login: user {user} key {fingerprint} from {peer}", user=self._logged_in.user,
                      fingerprint=self._logged_in.fingerprint, peer=self._peer())  # fmt: skip
        super().setService(service)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Forget the connection and log the logout."""
        self._stop_clock()
        self.factory.connections.discard(self)
        super().connectionLost(reason)
        if self._logged_in is not None:
            _log.info("manhole logout: user {user} key {fingerprint} from {peer}", user=self._logged_in.user,
                      fingerprint=self._logged_in.fingerprint, peer=self._peer())  # fmt: skip


class ManholeFactory(SSHFactory):
    """
    Makes the SSH connections and bounds those that have not logged in.

    :param clock: for the login deadline.
    """

    protocol = ManholeTransport
    noisy = False
    sendDebug = False

    def __init__(self, section: ManholeSection, realm: ManholeRealm, host_key: Key, clock: IReactorTime) -> None:
        # fresh dictionaries: conch's ConchFactory shares class-level ones between all instances
        self.publicKeys = {b"ssh-ed25519": host_key.public()}
        self.privateKeys = {b"ssh-ed25519": host_key}
        self.services = {b"ssh-userauth": ManholeUserAuth, b"ssh-connection": ManholeConnection}
        self.portal = Portal(realm, [AuthorizedKeyChecker(section.authorized_keys)])
        self.clock = clock
        self.login_timeout_s = section.login_timeout_s
        self.connections: set[ManholeTransport] = set()
        self._realm = realm
        self._max_pending = section.max_pending

    def buildProtocol(self, addr: IAddress | None) -> ManholeTransport | None:  # type: ignore[override]
        """:return: None, which closes the connection, when too many have not logged in yet."""
        if len(self.connections) - self._realm.logins >= self._max_pending:
            _log.warn("manhole refuses a connection: {limit} have not logged in", limit=self._max_pending)
            return None
        connection = cast("ManholeTransport", super().buildProtocol(addr))
        self.connections.add(connection)
        return connection


class ManholeService(MultiService):
    """
    The manhole's life: key files are read when it starts, before the listener opens.

    :param namespace: the names an operator sees at the prompt; each login gets a copy.
    """

    def __init__(self, section: ManholeSection, namespace: Mapping[str, object], reactor: Any) -> None:
        super().__init__()
        self.setName("manhole")
        self.realm = ManholeRealm(namespace, section.max_logins)
        self.factory: ManholeFactory | None = None
        self.listeners: list[ListeningService] = []
        self._section = section
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        """
        Read the key files and listen.

        :raises StartError: a key file is doubtful or the address is busy.
        """
        section = self._section
        load_authorized_keys(section.authorized_keys)
        host_key = load_or_make_host_key(section.host_key)
        self.factory = ManholeFactory(section, self.realm, host_key, self._reactor)
        for endpoint in section.listen:
            listener = ListeningService("manhole", endpoint.text, self.factory, self._reactor)
            self.listeners.append(listener)
            listener.setServiceParent(self)
        super().privilegedStartService()
        listen = ", ".join(endpoint.text for endpoint in section.listen)
        _log.info("manhole on {listen}, host key {key}", listen=listen, key=fingerprint(host_key.public().blob()))

    def startService(self) -> None:
        """Start, for callers that have no privileged phase too."""
        if self.factory is None:
            self.privilegedStartService()
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """Stop listening and close every login."""
        stopped: Deferred[Any] = super().stopService()
        if self.factory is not None:
            for connection in list(self.factory.connections):
                connection.loseConnection()
        return stopped
