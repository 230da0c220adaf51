"""The network namespace that a source looks at: how sockets are opened there, and what it says about itself."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from socket import SocketType
from typing import NamedTuple, TypeVar

from netappliance.tracker import sockets
from netappliance.tracker.sock_diag.diag_socket import ephemeral_ports, open_diag

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000


class Network(NamedTuple):
    """
    One network namespace.

    Each function raises OSError where the namespace, the right or the kernel's support is missing. A socket stays in
    the namespace that it was opened in, wherever it is used.
    """

    open_netfilter: Callable[[tuple[int, ...], int], SocketType]
    open_diag: Callable[[tuple[int, ...], int], SocketType]
    local_addresses: Callable[[], frozenset[bytes]]
    table_fill: Callable[[], tuple[int, int] | None]
    ephemeral_ports: Callable[[], tuple[int, int]]


OWN = Network(sockets.open_netfilter, open_diag, sockets.local_addresses, sockets.table_fill, ephemeral_ports)


def network_at(path: Path) -> Network:
    """Return the namespace that a file such as /run/netns/NAME stands for."""
    inside = partial(within, path)
    return Network(
        lambda groups, size: inside(partial(sockets.open_netfilter, groups, size)),
        lambda groups, size: inside(partial(open_diag, groups, size)),
        lambda: inside(sockets.local_addresses),
        lambda: inside(sockets.table_fill),
        lambda: inside(ephemeral_ports),
    )


def within(path: Path, call: Callable[[], T]) -> T:
    """
    Call in a short-lived thread that has entered a namespace; the rest of the process stays where it is.

    :raises OSError: the namespace cannot be entered (that takes CAP_SYS_ADMIN), or the call's own.
    """
    results: list[T] = []
    problems: list[OSError] = []

    def run() -> None:
        try:
            _enter(path)
            results.append(call())
        except OSError as problem:
            problems.append(problem)

    thread = threading.Thread(target=run, name=f"netns-{path.name}")
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return results[0]


def _enter(path: Path) -> None:
    """Move the calling thread. :raises OSError: see setns(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(descriptor, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
