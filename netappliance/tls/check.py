"""What is checked of a section's TLS before anything is touched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from netappliance.config.configuration import Configuration
from netappliance.errors import ConfigProblem
from netappliance.tls.certificates.directory import prepare
from netappliance.tls.certificates.refusals import CertificateErrors
from netappliance.tls.certificates.selection import Selection
from netappliance.tls.contexts import server_context
from netappliance.tls.keys import TlsKeys


def may_be_empty(keys: TlsKeys, configuration: Configuration) -> bool:
    """Say whether a section's certificates may come after the start: ``[acme]`` puts them there."""
    directory = Path(keys.certificates).resolve()
    return any(Path(each.store).resolve() == directory for each in configuration.sections("acme"))


def check_tls(title: str, keys: TlsKeys, configuration: Configuration) -> Iterator[ConfigProblem]:
    """Yield a problem for every certificate and setting that cannot be used. :param title: of the section."""
    later = may_be_empty(keys, configuration)
    try:
        now = time.time()
        found = prepare(keys.certificates, now, may_be_empty=later)
        Selection(found.credentials, now, "" if later else keys.default_certificate)
    except CertificateErrors as error:
        for refusal in error.refusals:
            expected = "NAME.pem files of mode 0600, each with certificate, chain and key"
            yield ConfigProblem(title, "certificates", str(refusal), keys.certificates, expected)
    except ValueError as error:
        yield ConfigProblem(title, "default_certificate", "no such file", keys.default_certificate, str(error))
    try:
        server_context(keys)
    except ValueError as error:
        key = "client_ca" if keys.client_ca and keys.client_ca in str(error) else "groups"
        yield ConfigProblem(title, key, str(error))
