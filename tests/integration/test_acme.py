"""Certificates from a real authority, pebble; where there is none (`make peers`) the tests are skipped."""

from __future__ import annotations

import json
import ssl
import tempfile
from itertools import pairwise
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.request import Request, urlopen

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from tests.certificates import self_signed
from tests.integration.pebble import Pebble, find
from tests.integration.support import Proxy, ProxyTestCase, free_ports, silent, wait_for


class AcmeTestCase(ProxyTestCase):
    """One authority that validates at our ports, started or not."""

    if not all(map(find, ("pebble", "pebble-challtestsrv"))):
        skip = "no pebble: make peers installs it where Go is"

    def authority(self, *, life_s: int = 7776000, start: bool = True, binding: tuple[str, str] | None = None) -> Pebble:
        """Make one; its certificates are good for so long."""
        folder = Path(tempfile.mkdtemp(prefix="pebble"))
        self.addCleanup(rmtree, folder)
        self.http_port, self.tls_port = free_ports(2)
        pebble = Pebble(folder, self.http_port, self.tls_port, life_s=life_s, binding=binding)
        self.addCleanup(pebble.stop)
        if start:
            pebble.start()
        return pebble

    def config(self, pebble: Pebble, names: str = "example.org", more: str = "") -> str:
        """A file with everything that http-01 needs."""
        store = Path(tempfile.mkdtemp(prefix="acme"))
        self.addCleanup(rmtree, store)
        self.store = store
        return (
            f"[http web]\nlisten = tcp:{self.http_port}:interface=127.0.0.1\n"
            "[route away]\nredirect = 301\nredirect_to = https://elsewhere.example/\nposition = pre\n"
            f"[acme]\ndirectory = {pebble.directory}\nca = {pebble.ca}\nstore = {store}\nretry_interval = 1s\n"
            f"names =\n    {names}\n{more}"
        )

    def page(self, proxy: Proxy) -> Any:
        """What /acme says."""
        return json.loads(proxy.get("/acme")[1])

    def wait_ended(self, proxy: Proxy, result: str, count: int = 1) -> None:
        """Wait until so many orders ended so."""
        try:
            wait_for(lambda: self.page(proxy)["orders"][result] >= count, f"{count} x {result}", 60.0)
        except AssertionError as error:
            raise AssertionError(f"{error}: {proxy.log()}") from None

    def certificate(self, name: str = "example.org") -> x509.Certificate:
        """The one in the store."""
        return x509.load_pem_x509_certificate((self.store / f"{name}.pem").read_bytes())


class OrderTests(AcmeTestCase):
    """From nothing to a certificate."""

    def test_certificates_are_ordered_by_http_01(self) -> None:
        """Names as asked for, signed by the authority, readable by us alone; a redirect of all requests is no bar."""
        pebble = self.authority()
        proxy = self.proxy(self.config(pebble, "example.org www.example.org\n    other.example"))
        self.wait_ended(proxy, "ok", 2)
        names = self.certificate().extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        assert isinstance(names, x509.SubjectAlternativeName)
        self.assertEqual(names.get_values_for_type(x509.DNSName), ["example.org", "www.example.org"])
        chain = x509.load_pem_x509_certificates((self.store / "other.example.pem").read_bytes())
        chain.append(x509.load_pem_x509_certificate(pebble.roots().encode()))
        for lower, upper in pairwise(chain):
            lower.verify_directly_issued_by(upper)
        self.assertEqual({oct(path.stat().st_mode & 0o777) for path in self.store.iterdir()}, {"0o600"})
        lines = [json.loads(line) for line in proxy.access_lines()]
        self.assertEqual({line["route"] for line in lines}, {"acme-challenge"})
        self.assertEqual(proxy.metric("acme_orders_total", result="ok"), 2)

    def test_certificates_are_ordered_by_tls_alpn_01(self) -> None:
        """In handshakes with a listener that has certificates of its own, and asks clients for theirs."""
        pebble = self.authority()
        folder = Path(tempfile.mkdtemp(prefix="tls"))
        self.addCleanup(rmtree, folder)
        self_signed("localhost").write(folder / "localhost.pem")
        listen = f"listen = tcp:{self.tls_port}:interface=127.0.0.1\n"
        backend = "[cluster nowhere]\nbackends = 127.0.0.1:1\n"
        for section in ("[https web]\n", f"{backend}[tcp web]\ncluster = nowhere\ntls = yes\n"):
            tls = f"{section}{listen}certificates = {folder}\nclient_ca = {pebble.ca}\n"
            config = self.config(pebble, "example.org www.example.org", f"challenge = tls-alpn-01\n{tls}")
            proxy = self.proxy(config)
            self.wait_ended(proxy, "ok")
            self.assertFalse(any("acme-challenge" in line for line in proxy.access_lines()))
            self.assertGreaterEqual(proxy.closed("proxy/handshake/policy"), 2)
            self.check_end(proxy)

    def test_a_restart_orders_nothing(self) -> None:
        """And uses the account that it has when it must."""
        config = self.config(self.authority())
        proxy = self.proxy(config)
        self.wait_ended(proxy, "ok")
        before = self.certificate()
        self.check_end(proxy)
        again = self.proxy(config)
        self.assertEqual(self.page(again)["certificates"][0]["state"], "valid")
        self.assertEqual(self.certificate(), before)
        self.check_end(again)
        more = self.proxy(config + "    more.example\n")
        self.wait_ended(more, "ok")
        self.assertEqual(len(list(self.store.glob("account-*"))), 1)

    def test_an_rsa_key_an_address_and_a_profile(self) -> None:
        """Where they are asked for; a profile that there is none of is refused."""
        pebble = self.authority()
        more = "key_type = rsa\nemail = root@example.org\nprofile = tests\n"
        proxy = self.proxy(self.config(pebble, more=more))
        self.wait_ended(proxy, "ok")
        self.assertEqual(self.certificate().public_key().key_size, 2048)  # type: ignore[union-attr]
        self.check_end(proxy)
        proxy = self.proxy(self.config(pebble, more="profile = none\n"))
        self.wait_ended(proxy, "refused")
        self.assertIn("invalidProfile", self.page(proxy)["certificates"][0]["last_failure"]["why"])

    def test_an_account_is_bound_to_one_of_another_kind(self) -> None:
        """External account binding; without it such an authority makes none. And an order by hand."""
        key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
        pebble = self.authority(binding=("kid-1", key))
        proxy = self.proxy(self.config(pebble))
        self.wait_ended(proxy, "refused")
        self.assertIn("externalAccountRequired", self.page(proxy)["certificates"][0]["last_failure"]["why"])
        self.check_end(proxy)
        proxy = self.proxy(self.config(pebble, more=f"eab_key_id = kid-1\neab_secret = {key}\n"))
        self.wait_ended(proxy, "ok")
        self.assertNotIn(key, proxy.get("/config")[1])
        url = f"http://127.0.0.1:{proxy.admin_port}/acme/example.org/order"
        with urlopen(Request(url, method="POST"), timeout=10) as answer:
            self.assertEqual(json.loads(answer.read()), {"name": "example.org", "ordering": True})
        self.wait_ended(proxy, "ok", 2)

    def test_a_certificate_is_renewed_in_time(self) -> None:
        """One that is good for six seconds, after four of them or a little less, and never at once again."""
        proxy = self.proxy(self.config(self.authority(life_s=6)))
        self.wait_ended(proxy, "ok")
        before = self.certificate()
        # the one under way now may be in the store already
        self.wait_ended(proxy, "ok", self.page(proxy)["orders"]["ok"] + 2)
        renewed = self.certificate()
        self.assertNotEqual(renewed.public_key(), before.public_key())
        self.assertGreaterEqual((renewed.not_valid_before_utc - before.not_valid_before_utc).total_seconds(), 2.0)


class ServedTests(AcmeTestCase):
    """An [https] section whose certificates are those of the store."""

    def shown(self, name: str) -> str:
        """The issuer of what a client of the listener is shown; empty while that is nothing."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with self.connect(self.https_port) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
                found = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
                return found.issuer.rfc4514_string()
        except ssl.SSLError:
            return ""

    def test_it_starts_with_nothing_and_serves_what_is_issued(self) -> None:
        """First the placeholder, of the name asked for; then the authority's; a restart serves it from the start."""
        pebble = self.authority(start=False)
        (self.https_port,) = free_ports(1)
        config = self.config(pebble, "example.org\n    example.com", "email = root@example.org\n")
        config += f"[https web]\nlisten = tcp:{self.https_port}:interface=127.0.0.1\n"
        config += f"certificates = {self.store}\ndefault_certificate = example.com.pem\n"
        proxy = self.proxy(config.replace("[http web]", "[http plain]"))
        wait_for(lambda: "netappliance placeholder" in self.shown("example.org"), "the placeholder")
        pebble.start()
        self.wait_ended(proxy, "ok", 2)
        wait_for(lambda: "Pebble Intermediate" in self.shown("example.org"), "the certificate")
        wait_for(lambda: "Pebble Intermediate" in self.shown("elsewhere.example"), "the default")
        self.check_end(proxy)
        pebble.stop()
        self.proxy(config.replace("[http web]", "[http plain]"))
        self.assertIn("Pebble Intermediate", self.shown("example.org"))


class FailureTests(AcmeTestCase):
    """What goes on without the authority, and how it is told."""

    def test_a_name_that_is_not_proven_is_refused(self) -> None:
        """The log says which and why; the other certificate is issued."""
        pebble = self.authority()
        proxy = self.proxy(self.config(pebble, "blocked.example\n    example.org"))
        self.wait_ended(proxy, "refused")
        self.wait_ended(proxy, "ok")
        (first, second) = self.page(proxy)["certificates"]
        self.assertIn("rejectedIdentifier", first["last_failure"]["why"])
        self.assertEqual((first["state"], second["state"]), ("placeholder", "valid"))

    def test_a_validation_that_finds_nobody_is_refused(self) -> None:
        """The authority looks at another port than ours."""
        pebble = self.authority()
        proxy = self.proxy(self.config(pebble).replace(f"tcp:{self.http_port}:", f"tcp:{free_ports(1)[0]}:"))
        self.wait_ended(proxy, "refused")
        why = self.page(proxy)["certificates"][0]["last_failure"]["why"]
        self.assertRegex(why, "^example.org: .*connection refused")
        self.assertIn(why, proxy.log())

    def test_an_authority_that_is_down_at_the_start_delays_nothing(self) -> None:
        """There is a placeholder; when it comes up it is asked again."""
        pebble = self.authority(start=False)
        proxy = self.proxy(self.config(pebble))
        self.wait_ended(proxy, "unreachable")
        self.assertEqual(self.page(proxy)["certificates"][0]["state"], "placeholder")
        self.assertIn("netappliance placeholder", self.certificate().issuer.rfc4514_string())
        pebble.start()
        self.wait_ended(proxy, "ok")
        self.assertEqual(self.page(proxy)["certificates"][0]["failures"], 0)

    def test_an_authority_that_is_down_at_a_renewal_costs_no_certificate(self) -> None:
        """The old one stays; one that comes back without its memory gives us another account."""
        pebble = self.authority(life_s=6)
        proxy = self.proxy(self.config(pebble))
        self.wait_ended(proxy, "ok")
        pebble.stop()
        self.wait_ended(proxy, "unreachable")
        before, count = self.certificate(), self.page(proxy)["orders"]["ok"]
        self.wait_ended(proxy, "unreachable", 2)
        self.assertEqual(self.certificate(), before)
        pebble.start()
        self.wait_ended(proxy, "ok", count + 1)
        self.assertNotEqual(self.certificate(), before)

    def test_a_directory_whose_certificate_is_not_trusted_is_told(self) -> None:
        """Nothing is asked of it."""
        pebble = self.authority()
        proxy = self.proxy(self.config(pebble).replace(f"ca = {pebble.ca}\n", ""))
        self.wait_ended(proxy, "unreachable")
        self.assertIn("CERTIFICATE_VERIFY_FAILED", self.page(proxy)["certificates"][0]["last_failure"]["why"])

    def test_a_stop_does_not_wait_for_an_order(self) -> None:
        """The authority takes a connection and says nothing."""
        mute = self.peer(silent)
        pebble = self.authority(start=False)
        proxy = self.proxy(self.config(pebble).replace(pebble.directory, f"https://127.0.0.1:{mute.port}/"))
        wait_for(lambda: self.page(proxy)["certificates"][0]["ordering"], "the order")
        wait_for(lambda: bool(mute.connections), "the connection")
        self.assertEqual(proxy.stop(), 0)
