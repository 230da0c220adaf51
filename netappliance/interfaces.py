"""
Every plug point of the appliance, with its contract in prose.

A provider carries a ``name`` (or ``kind``) that configuration selects it by. Providers are found with
:mod:`twisted.plugin` in :mod:`netappliance.plugins`; only those that the configuration names are loaded. Interfaces
here are stable: a change that breaks a provider is announced a year ahead.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class ISectionKind(Interface):
    """One kind of section of the configuration file: ``[kind]`` or ``[kind name]``."""

    kind: str = Attribute("The word in the brackets; lower-case ASCII letters, digits and ``_``.")
    named: bool = Attribute("True for ``[kind name]`` (any number), False for ``[kind]`` (at most one).")
    schema: type = Attribute(
        "The frozen dataclass of the section, its fields made by netappliance.config.schema.option. A kind whose keys "
        "depend on a value has ``schema_for(raw)`` instead, which returns a dataclass or a ConfigProblem. A class "
        "variable ``shares_addresses_by`` names a key: sections that have it may listen on one and the same address."
    )

    def check(section, configuration):  # type: ignore[no-untyped-def]
        """
        Look at one parsed section in the light of the whole file (cross references, duplicate addresses).

        :param section: an instance of ``schema``.
        :param configuration: the :class:`netappliance.config.configuration.Configuration`.
        :return: an iterable of :class:`netappliance.errors.ConfigProblem`, empty when all is well. Must not raise.
        """


class IServiceKind(ISectionKind):
    """A section kind that runs something: udp, tcp, http, tracker, admin, manhole, demo, or yours."""

    stage: str = Attribute(
        "When it starts: ``admin``, then ``support``, then ``traffic`` (the default). The end is in reverse."
    )

    def make_service(section, appliance):  # type: ignore[no-untyped-def]
        """
        Build the service of one section; no side effects before ``privilegedStartService`` / ``startService``.

        :param section: an instance of ``schema``.
        :param appliance: the :class:`netappliance.process.appliance.Appliance`: configuration, reactor, data plane,
            clusters, and where metrics and pages are added. Hand the service what it needs of it, not all of it.
        :return: an :class:`twisted.application.service.IService`.
        """


class IConnectionObserver(Interface):
    """
    Told of every connection and session at open, when it may refuse, and at close (Rubris' ConnectionHandler and
    ConnectionTerminationHandler). It only looks; what it wants in the access log it writes to ``session.notes``, a dict
    by text. An exception in an observer, or a wrong answer, is contained: logged once with a traceback, counted.
    """

    name: str = Attribute("What the configuration selects the observer by.")

    def session_opened(session):  # type: ignore[no-untyped-def]
        """
        A session begins; called synchronously, so be quick.

        :param session: :class:`netappliance.sessions.session.Session`.
        :return: None to allow, or a short text that says why it is refused (it goes to the log, never to a label).
        """

    def session_closed(session):  # type: ignore[no-untyped-def]
        """
        A session has ended; ``session.close_reason`` and all counters are final.

        :param session: the same object that was given to ``session_opened``.
        """


class IBalancer(Interface):
    """Chooses a backend for a key. Pure: no clock, no random source but what it was built with."""

    needs_key: bool = Attribute("True when ``choose`` looks at the key; others are given an empty one.")

    def set_members(members):  # type: ignore[no-untyped-def]
        """
        The configured backends changed.

        :param members: sequence of :class:`netappliance.clusters.backend.Backend`, usable now or not. What must be
            equal in all processes may depend on ``id`` and ``full_weight`` of these alone. Their ``weight`` is what
            they are to get now: with ``slow_start`` it changes from second to second, and only the ratios count.
        """

    def choose(backends, key, now):  # type: ignore[no-untyped-def]
        """
        :param backends: non-empty sequence of members that may be used now; the same object for as long as it has the
            same content, so that what is made of it can be kept.
        :param key: bytes that hash policies hash (empty when there is none).
        :param now: monotonic seconds.
        :return: one element of ``backends``.
        """


class IBalancerFactory(Interface):
    """A balancing policy of yours, found in :mod:`netappliance.plugins` and selected by ``balance = NAME``."""

    name: str = Attribute("What ``balance`` selects it by.")

    def make(rng):  # type: ignore[no-untyped-def]
        """
        Build a policy; each tier (primaries, backups) of each cluster has one of its own.

        :param rng: :class:`random.Random`.
        :return: an :class:`IBalancer`.
        """


class IHealthCheck(Interface):
    """A way to find out whether a backend is well, selected by ``health_check = NAME [option=value]...``."""

    name: str = Attribute("What ``health_check`` selects it by.")
    options: tuple[str, ...] = Attribute("The options that it takes besides those of every health check.")

    def configure(options):  # type: ignore[no-untyped-def]
        """
        Look at the options of a cluster.

        :param options: option -> text, only those of ``options``.
        :return: what ``probe`` is given as ``settings``; comparable by ``==``.
        :raises ValueError: with what was expected.
        """

    def probe(family, sockaddr, settings, reactor, timeout_s):  # type: ignore[no-untyped-def]
        """
        Ask a backend once, without blocking; close whatever is opened, also when cancelled.

        :param family: AF_INET, AF_INET6 or AF_UNIX. :param sockaddr: (address, port), or the path of a unix socket.
        :param timeout_s: after which the Deferred is cancelled.
        :return: a Deferred that fires when the backend is well and fails when it is not.
        """


class ITlsHealthCheck(IHealthCheck):
    """
    A check that can also ask over TLS; clusters with ``tls`` have it do so, unless their check says ``tls=no``. One
    that does not provide this is given the address, and does by itself what it needs.
    """

    def probe_tls(family, sockaddr, settings, reactor, timeout_s, connections):  # type: ignore[no-untyped-def]
        """
        Ask a backend once, as ``probe`` does.

        :param connections: an IOpenSSLClientConnectionCreator, for ``twisted.internet.endpoints.wrapClientTLS``; it
            trusts those whom the cluster trusts.
        """


class IConnectionSource(Interface):
    """
    Tells the tracker of this host's TCP connections, besides conntrack, sock_diag and proc, which are built in.
    Selected by ``[tracker] source = NAME``.
    """

    name: str = Attribute("What ``source`` selects it by.")

    def make(table, reactor, clock, section):  # type: ignore[no-untyped-def]
        """
        Build what tells; no side effects yet.

        :param table: a :class:`netappliance.tracker.sock_diag.socket_table.SocketTable`, to be told of
            :class:`netappliance.tracker.sock_diag.inet_diag.Socket` values: all of them from time to time
            (``begin_dump``, ``dumped`` for each, ``end_dump``), and at once of those that end (``destroyed``), where
            ``table.notices`` says that this happens.
        :param reactor: Twisted's. :param clock: gives monotonic seconds.
        :param section: the :class:`netappliance.tracker.section.TrackerSection`.
        :return: an object with the attributes ``up``, ``lost``, ``malformed``, ``resyncs``, ``refused``, ``events`` and
            ``dump_secs`` and the methods ``start`` (which may raise OSError), ``stop``, ``check_loss`` (called once a
            second) and ``resync`` of :class:`netappliance.tracker.sock_diag.socket_source.SocketSource`. It must not
            wait.
        """


class IDatagramFilter(Interface):
    """One link of a datagram filter chain. Sans-I/O: looks at nothing but the datagram, and answers at once."""

    def read(datagram):  # type: ignore[no-untyped-def]
        """
        A datagram from a client, on its way to a backend; filters see it in the order of the configuration.

        :param datagram: :class:`netappliance.udp.datagram.Datagram`. Its ``payload`` may be replaced, ``metadata``
            written, ``destinations`` chosen.
        :return: None to go on, or a :class:`netappliance.udp.datagram.Drop` to drop it.
        """

    def write(datagram):  # type: ignore[no-untyped-def]
        """
        A datagram from a backend, on its way to a client; filters see it in reverse order.

        ``metadata`` is what the read side left behind for this session.

        :return: as ``read``.
        """


class IDatagramFilterKind(Interface):
    """A kind of datagram filter, selected by ``kind = NAME`` in ``[filter ...]``."""

    name: str = Attribute("The short name.")
    aliases: tuple[str, ...] = Attribute("Other names it answers to, such as Quilkin's.")
    schema: type = Attribute("The frozen dataclass of the section; it has the fields ``name`` and ``kind``.")

    def make(section, resources):  # type: ignore[no-untyped-def]
        """
        Build a filter; each service that names the section has one of its own.

        :param section: an instance of ``schema``.
        :param resources: :class:`netappliance.udp.datagram.Resources`: random source, wall clock, builder of other
            filters.
        :return: an :class:`IDatagramFilter`.
        :raises ValueError: the section asks for what cannot be; the message says why.
        """


class IRequestFilter(Interface):
    """
    One filter of a route. Sans-I/O: looks at the exchange and its ``now`` only, and answers at once.

    An exception is contained: the client gets 500, the log one traceback, the exchange the cause ``internal``. Derive
    from :class:`netappliance.http.filters.RequestFilter`, whose methods do nothing; one that is not overridden costs
    nothing.
    """

    def request(exchange):  # type: ignore[no-untyped-def]
        """
        A request, before a backend is chosen; filters see it in the order of the route.

        :param exchange: :class:`netappliance.http.message.Exchange`; its ``request`` may be changed.
        :return: None to go on, or an :class:`netappliance.http.message.Answer` to give instead of a backend's.
        """

    def response(exchange, response):  # type: ignore[no-untyped-def]
        """
        The head of a final response, a backend's or our own answer; filters see it in reverse order.

        All filters of the route see it, also those that the request did not get to because one before them answered:
        what belongs on every response (HSTS) is on a 401 too.

        :param response: :class:`netappliance.http.message.Response`; its ``lines`` may be changed.
        """

    def finished(exchange):  # type: ignore[no-untyped-def]
        """The exchange is over, however it ended; called once for each filter whose ``request`` was called."""


class IRequestFilterKind(Interface):
    """A kind of request filter, selected by ``kind = NAME`` in ``[filter ...]``."""

    name: str = Attribute("The short name; no datagram filter has it too.")
    aliases: tuple[str, ...] = Attribute("Other names it answers to.")
    schema: type = Attribute("The frozen dataclass of the section; it has the fields ``name`` and ``kind``.")

    def make(section, resources):  # type: ignore[no-untyped-def]
        """
        Build a filter; each route that names the section has one of its own.

        :param section: an instance of ``schema``.
        :param resources: :class:`netappliance.http.filters.Resources`: random source, monotonic clock at build.
        :return: an :class:`IRequestFilter`.
        :raises ValueError: the section asks for what cannot be; the message says why.
        """
