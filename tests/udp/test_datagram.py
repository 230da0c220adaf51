"""What a datagram is before anybody filled it in, and the words of the label ``reason``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netappliance.udp.datagram import MAX_PAYLOAD, Datagram, DatagramFilter, Drop


class DatagramTests(SynchronousTestCase):
    """The object that the service uses for all."""

    def test_a_new_one_is_empty(self) -> None:
        """Nothing in it comes from nowhere."""
        made = Datagram()
        self.assertEqual((made.payload, made.source, made.client, made.now), (b"", ("", 0), ("", 0), 0.0))
        self.assertEqual((made.metadata, made.destinations, made.backends, made.by_token), ({}, None, (), {}))

    def test_the_largest_payload(self) -> None:
        """65 535 less the headers of IP and UDP."""
        self.assertEqual(MAX_PAYLOAD, 65535 - 20 - 8)

    def test_the_reasons_of_drops(self) -> None:
        """A closed set that dashboards know by name."""
        words = "filtered capture_failed no_token no_match denied rate_limited bad_payload too_large filter_error"
        words += " no_backend session_limit client_limit draining amplification send_buffer_full socket_error"
        self.assertEqual(" ".join(drop.value for drop in Drop), words)

    def test_a_filter_passes_what_it_does_not_look_at(self) -> None:
        """And has no figures."""
        base = DatagramFilter()
        self.assertEqual((base.read(Datagram()), base.write(Datagram()), base.figures()), (None, None, {}))
