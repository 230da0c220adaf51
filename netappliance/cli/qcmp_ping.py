"""``python -m netappliance qcmp-ping HOST:PORT``: measure the way to a proxy."""

from __future__ import annotations

import argparse
import secrets
import socket
import statistics
import sys
import time

from netappliance.qcmp.packet import Ping, QcmpError, Reply, decode


def measure(host: str, port: int, timeout_s: float) -> float | None:
    """
    Send one ping.

    :return: milliseconds there and back, or None when no good reply came in time.
    :raises OSError: the name does not resolve, or there is no way.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.connect(address)
        ping = Ping(secrets.randbelow(256), time.time_ns())
        deadline = time.monotonic() + timeout_s
        sock.send(ping.encode())
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                reply = decode(sock.recv(2048))
            except (TimeoutError, ConnectionRefusedError):
                return None
            except QcmpError:
                continue
            if isinstance(reply, Reply) and (reply.nonce, reply.sent_ns) == (ping.nonce, ping.sent_ns):
                return reply.round_trip_ns(time.time_ns()) / 1e6
    return None


def main(arguments: list[str]) -> int:
    """Ping some times and print each, the median and the mean; 1 when none was answered."""
    parser = argparse.ArgumentParser(prog="python -m netappliance qcmp-ping", description=__doc__)
    parser.add_argument("target", help="HOST:PORT or [IPv6]:PORT")
    parser.add_argument("-a", "--amount", type=int, default=5, help="how many pings (5)")
    parser.add_argument("-t", "--timeout", type=float, default=1.0, help="seconds for each answer (1)")
    options = parser.parse_args(arguments)
    host, colon, port = options.target.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        parser.error("HOST:PORT")
    answers = []
    for number in range(options.amount):
        try:
            took = measure(host.strip("[]"), int(port), options.timeout)
        except OSError as error:
            sys.stderr.write(f"{options.target}: {error}\n")
            return 1
        sys.stdout.write(f"{number + 1}: {'no answer' if took is None else f'{took:.3f} ms'}\n")
        if took is not None:
            answers.append(took)
    if not answers:
        return 1
    sys.stdout.write(f"median {statistics.median(answers):.3f} ms, mean {statistics.fmean(answers):.3f} ms\n")
    return 0
