"""Names that certificates and clients use for hosts, in the one form in which they are compared. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address

_LABEL = rb"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rb"(?:\*\.)?(?:%b\.)*(?!\d+\Z|0x[0-9a-f]*\Z)%b" % (_LABEL, _LABEL))
#: octets of a host name (RFC 1035 section 2.3.4)
MAX_NAME = 253


def dns_name(text: str) -> bytes | None:
    """
    Return a certificate's DNS name in lower case, without a final dot; None for what never matches a host.

    A wildcard is the whole leftmost label (RFC 9525 section 6.3). A name whose last label is a number looks like an
    address, and is none.
    """
    try:
        name = text.lower().removesuffix(".").encode("ascii")
    except UnicodeEncodeError:
        return None
    return name if len(name) <= MAX_NAME and _NAME.fullmatch(name) else None


def canonical_host(host: bytes) -> bytes:
    """
    Return the host of a request, or the name of a ClientHello, in the form of :func:`dns_name` and of a credential's
    addresses.

    :param host: without a port; an IPv6 address may stand in brackets. What is no host is returned in lower case.
    """
    if b":" in host:
        inside = host[1:-1] if host.startswith(b"[") and host.endswith(b"]") else host
        try:
            return str(ip_address(inside.decode("ascii"))).encode()
        except ValueError:
            return host.lower()
    host = host.lower()
    return host[:-1] if host.endswith(b".") else host
