"""
PROXY protocol versions 1 and 2 (HAProxy's doc/proxy-protocol.txt), sans-I/O.

The header says who the client of a proxy in front of us is; or, sent to a backend, who ours is.
"""

from __future__ import annotations

from netappliance.proxy_protocol.header import MAX_V2, ProxyHeader, ProxyProtocolError
from netappliance.proxy_protocol.reader import HeaderReader, parse_header
from netappliance.proxy_protocol.v1 import encode_v1
from netappliance.proxy_protocol.v2 import encode_v2

__all__ = ["MAX_V2", "HeaderReader", "ProxyHeader", "ProxyProtocolError", "encode_v1", "encode_v2", "parse_header"]
