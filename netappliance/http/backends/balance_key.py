"""What hash policies hash for a request, by the cluster's ``balance_key``. Sans-I/O."""

from __future__ import annotations

from netappliance.http import fields
from netappliance.http.backends import cookies
from netappliance.http.message import Request


class BalanceKey:
    """The key of one cluster; to be asked only when ``Cluster.needs_key``."""

    __slots__ = ("_kind", "_name")

    def __init__(self, balance_key: str) -> None:
        """
        Take the text of the key.

        :raises ValueError: for ``token``, which datagrams have.
        """
        kind, _, name = balance_key.partition(":")
        if kind not in ("client_address", "client_address_port", "uri", "header", "cookie"):
            raise ValueError(f"a balance_key of requests, not {balance_key!r}")
        self._kind = kind
        self._name = name.encode()

    def of(self, request: Request, client: str, port: int) -> bytes:
        """
        Return what is hashed.

        A request without the header or cookie is hashed by its client's address: else all of those would meet at one
        backend. ``uri`` is the target with its query, as sent.

        :param client: address as text, empty for a unix socket. :param port: the client's.
        """
        kind = self._kind
        if kind == "uri":
            return request.target
        if kind == "client_address_port":
            return f"{client}:{port}".encode()
        value: bytes | None = None
        if kind == "header":
            value = fields.get(request.lines, self._name)
        elif kind == "cookie":
            value = cookies.find(request.lines, self._name)
        return value or client.encode()
