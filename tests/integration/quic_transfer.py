"""Run by test_udp: a QUIC server, and a client that comes through the proxy and takes bytes from it."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import ssl
import sys
import tempfile
from pathlib import Path

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def payload(size: int) -> bytes:
    """The same bytes on both sides."""
    block = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(2048))
    return (block * (size // len(block) + 1))[:size]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


async def main(back: int, front: int, size: int) -> None:
    """Serve on ``back``, fetch through ``front``, compare."""
    with tempfile.TemporaryDirectory() as folder:
        pem, secret = certificate(Path(folder))
        server_side = QuicConfiguration(is_client=False, alpn_protocols=["bulk"])
        server_side.load_cert_chain(pem, secret)
        tasks = []

        def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def send() -> None:
                await reader.readline()
                writer.write(payload(size))
                writer.write_eof()

            tasks.append(asyncio.ensure_future(send()))

        server = await serve("127.0.0.1", back, configuration=server_side, stream_handler=answer)
        client_side = QuicConfiguration(alpn_protocols=["bulk"], verify_mode=ssl.CERT_NONE, server_name="localhost")
        client_side.max_data = client_side.max_stream_data = 64 * 2**20
        async with connect(
            "127.0.0.1", front, configuration=client_side, create_protocol=QuicConnectionProtocol
        ) as client:
            reader, writer = await client.create_stream()
            writer.write(b"please\n")
            got = await asyncio.wait_for(reader.read(), 80)
        server.close()
        print("same" if got == payload(size) else f"{len(got)} bytes, not the same")


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in sys.argv[1:4])))
