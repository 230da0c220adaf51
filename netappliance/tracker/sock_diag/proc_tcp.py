"""/proc/net/tcp and tcp6 as sockets (kernel: Documentation/networking/proc_net_tcp.rst). Sans-I/O; the last resort."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from netappliance.tracker.sock_diag.inet_diag import AF_INET, AF_INET6, DUMPED, NEW_SYN_RECV, SYN_RECV, Socket, unmapped


def parse(lines: Iterable[str]) -> tuple[list[Socket], int]:
    """
    Read the lines of one file, its head line included.

    :return: (sockets, lines that were garbage). There is no cookie here, it is 0; nor TCP_INFO.
    """
    sockets: list[Socket] = []
    malformed = 0
    for line in lines:
        fields = line.split(None, 10)
        if len(fields) < 10 or not fields[0].endswith(":"):
            malformed += bool(line.strip()) and not line.lstrip().startswith("sl")
            continue
        try:
            source, source_port = _end(fields[1])
            destination, destination_port = _end(fields[2])
            state = int(fields[3], 16)
            send, receive = (int(part, 16) for part in fields[4].split(":"))
            uid, inode = int(fields[7]), int(fields[9])
        except ValueError:
            malformed += 1
            continue
        if not 0 < state <= NEW_SYN_RECV or len(source) != len(destination):
            malformed += 1
            continue
        family = AF_INET if len(source) == 4 else AF_INET6
        state = SYN_RECV if state == NEW_SYN_RECV else state
        source, destination = unmapped(source), unmapped(destination)
        sockets.append(
            Socket(
                DUMPED, family, state, source, destination, source_port, destination_port, 0, 0, receive, send, uid,
                inode, 0, None,
            )
        )  # fmt: skip
    return sockets, malformed


def _end(text: str) -> tuple[bytes, int]:
    """Decode ``0100007F:1F90``: packed address, port. :raises ValueError: it is not one."""
    digits, colon, port = text.partition(":")
    if len(digits) not in (8, 32) or not colon or len(port) != 4:
        raise ValueError(text)
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    return struct.pack(f"={len(words)}I", *words), int(port, 16)
