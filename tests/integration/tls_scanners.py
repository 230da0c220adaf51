"""What scanners say of a TLS listener: testssl.sh, and sslyze's check of Mozilla's recommendations."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.certificates import Authority

SSLYZE = Path(__file__).resolve().parents[2] / ".venv-sslyze" / "bin" / "sslyze"
#: protocols, server defaults, and those vulnerabilities that are asked after quickly
QUICK = ("-p", "-S", "-B", "-C", "-R", "-H", "-4")
#: all that is asked but for fields of responses, which are the site's own matter
WHOLE = ("-p", "-s", "-f", "-P", "-S", "-U", "-4", "-c")
#: seconds of a whole run, many times over
BUDGET_S = 900
#: what testssl.sh says of other things than the server
EXEMPT = {
    "engine_problem": "the machine's own openssl has no GOST",
    "DNS_CAArecord": "localhost is not in the DNS",
    "sessionresumption_ticket": "its client does not wait for the tickets of TLS 1.3",
}
#: less than the 90 days that the modern recommendation allows
DAYS = timedelta(days=80)
#: severities that are no findings
HARMLESS = ("OK", "INFO")


def testssl_program() -> str | None:
    """Return Debian's name for it, or its own."""
    return shutil.which("testssl") or shutil.which("testssl.sh")


def write_site(folder: Path) -> Authority:
    """
    Write ``ca.pem`` and ``served/localhost.pem``, like those of public authorities: with an intermediate authority, a
    responder and its response; return the intermediate.
    """
    root = Authority("root")
    root.write(folder / "ca.pem")
    authority = Authority("intermediate", issuer=root)
    (folder / "served").mkdir()
    responder = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example/")
    )
    leaf = authority.leaf("localhost", ends=DAYS, extensions=(x509.AuthorityInformationAccess([responder]),))
    leaf.write(folder / "served" / "localhost.pem")
    now = datetime.now(timezone.utc)
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            leaf.certificate,
            authority.certificate,
            hashes.SHA1(),
            ocsp.OCSPCertStatus.GOOD,
            this_update=now - timedelta(hours=1),
            next_update=now + timedelta(days=3),
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
        .sign(authority.key, hashes.SHA256())
    )
    (folder / "served" / "localhost.ocsp").write_bytes(response.public_bytes(Encoding.DER))
    return authority


def testssl(program: str, port: int, ca: Path, options: tuple[str, ...]) -> list[str]:
    """
    Scan a port of this host.

    :param options: what to look at, ``QUICK`` or ``WHOLE``.
    :return: ``SEVERITY id: finding`` of all that is not harmless.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [program, "--jsonfile", str(report), "--warnings", "off", "--color", "0", "--ip", "one"]
        command += ["--add-ca", str(ca), *options, f"https://localhost:{port}"]
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=BUDGET_S, check=False
        )
        found = json.loads(report.read_text()) if report.exists() else []
    if not any(each["id"] == "scanTime" for each in found):
        return [f"the scan broke off: {done.stdout[-1000:]} {done.stderr[-1000:]}"]
    return [
        f"{each['severity']} {each['id']}: {each['finding']}"
        for each in found
        if each["severity"] not in HARMLESS and each["id"] not in EXEMPT
    ]


def sslyze(port: int, ca: Path, profile: str = "intermediate") -> str:
    """Check a port of this host against a recommendation of Mozilla's; what it says about it."""
    command = [str(SSLYZE), f"--mozilla_config={profile}", f"--certinfo_ca_file={ca}", f"localhost:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUDGET_S, check=False)
    return done.stdout[done.stdout.find("COMPLIANCE AGAINST") :] + ("" if not done.returncode else done.stderr[-1000:])
