"""Credentials into contexts of OpenSSL."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL.crypto import PKey
from OpenSSL.SSL import Context, Error

from netappliance.tls.certificates.credential import Credential
from netappliance.tls.certificates.refusals import Reason, Refused


def load_into(context: Context, credential: Credential) -> None:
    """
    Load certificate, chain and key; call it once for each kind of key that the context is to have.

    :raises Refused: OpenSSL does not take it, for instance because of its security level.
    """
    try:
        _use_chain(context, credential)
        _use_key(context, credential)
        context.check_privatekey()
    except Error as error:
        words = ", ".join(str(each[-1]) for each in error.args[0]) if error.args else ""
        raise Refused(Reason.UNUSABLE, f"OpenSSL does not take it: {words or 'it does not say why'}") from error


def _use_chain(context: Context, credential: Credential) -> None:
    # add_extra_chain_cert() would give one chain to certificates of both kinds; only the call that reads a file keeps
    # a chain for each, so it is given a file that is nowhere on a disk
    descriptor = os.memfd_create("chain")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            for certificate in (credential.certificate, *credential.chain):
                file.write(certificate.public_bytes(Encoding.PEM))
        context.use_certificate_chain_file(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _use_key(context: Context, credential: Credential) -> None:
    try:
        context.use_privatekey(credential.private_key)
    except TypeError:  # pyOpenSSL before 24.3
        context.use_privatekey(PKey.from_cryptography_key(credential.private_key))
