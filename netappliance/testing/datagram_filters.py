"""The contract of datagram filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netappliance.clusters.backend import Backend
from netappliance.sessions.session import Address
from netappliance.testing.backends import backend
from netappliance.testing.promises import come_through, figures, promise, promise_counters, promise_names
from netappliance.udp.chain import FilterChain
from netappliance.udp.datagram import MAX_PAYLOAD, Datagram, Drop

BACKENDS = (backend(1, tokens=(b"abc",)), backend(2, tokens=(b"abc", b"xyz")), backend(3))
CLIENTS: tuple[Address, ...] = (("192.0.2.1", 5000), ("2001:db8::1", 65535))


def datagram(payload: bytes = b"", client: Address = CLIENTS[0], backends: Sequence[Backend] = BACKENDS) -> Datagram:
    """Return one from a client at second 100; the backends' tokens are known."""
    made = Datagram()
    made.payload = payload
    made.source = made.client = client
    made.backends = backends
    made.by_token = {
        token: [each for each in backends if token in each.tokens] for each in backends for token in each.tokens
    }
    made.now = 100.0
    return made


class DatagramFilterContract:
    """Override :meth:`make`; :meth:`payloads` where yours looks for more than these have."""

    def make(self) -> Any:
        """Return the filter, new for each test."""
        raise NotImplementedError

    def payloads(self) -> list[bytes]:
        """Return payloads: none, a token, every octet, the largest there is."""
        return [b"", b"\0", b"abc", b"hello xyz", bytes(range(256)), b"\xff" * MAX_PAYLOAD]

    def test_datagrams_go_on_or_are_dropped(self) -> None:
        """Both ways, with what the read side left behind; there may be no backend to choose."""
        chain = self._chain(self.make())
        for payload in self.payloads():
            for client in CLIENTS:
                for backends in (BACKENDS, ()):
                    read = datagram(payload, client, backends)
                    self._check(read, chain.read(read))
                    reply = datagram(payload, client)
                    reply.source = ("10.0.0.1", 7)
                    reply.metadata = read.metadata
                    self._check(reply, chain.write(reply))

    def test_replies_come_without_metadata(self) -> None:
        """A session's first may have left none."""
        chain = self._chain(self.make())
        for payload in self.payloads():
            reply = datagram(payload)
            self._check(reply, chain.write(reply))

    def test_what_it_counts(self) -> None:
        """Counts by name, which never go down."""
        made = self.make()
        chain = self._chain(made)
        before = figures(made)
        for payload in self.payloads():
            chain.read(datagram(payload))
            chain.write(datagram(payload))
            after = figures(made)
            promise_counters(before, after)
            before = after

    def _chain(self, made: Any) -> FilterChain:
        return FilterChain([("yours", made)], None, come_through)

    def _check(self, datagram: Datagram, drop: Drop | None) -> None:
        promise(drop is None or isinstance(drop, Drop), f"a filter returns None or a Drop, not {drop!r}")
        promise(isinstance(datagram.payload, bytes), f"payload stays bytes, not {type(datagram.payload).__name__}")
        promise_names(datagram.metadata, "metadata")
        promise(
            all(any(each is known for known in datagram.backends) for each in datagram.destinations or ()),
            "destinations are some of backends",
        )
        promise(datagram.client in CLIENTS and datagram.now == 100.0, "client and now stay as they are")
