"""sock_diag messages of Linux 6.18 as they came, from a namespace with a listener and a few connections."""

from __future__ import annotations

import base64
import zlib


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


DUMP_IPV4 = _unpacked(
    "eNqbwcjAIMLAxACkGCbeL73LBGRM+yA/oZ4BLAQH6HwQYBJRZcAG4rdpMLIycIDZHAz8YJqHQRRuABuDGEMQkJZhhNjLwL6K8YEM"
    "M4PDHCC7i4FBggmrsQw6jAgahP//Z2C4DsTiYPNB/P/13ED6NFCMGaoHJA8CawJvb+OAqAGDl1AFXFB1LAwIPZwMEM+CcOjV7y8Z"
    "8ACYU18w41EkAjONeJDAgBYvbMwM0xmIixdmaLyYYHE5LD5EwP5FmA8SAwBD1DFK"
)
"""An IPv4 dump: a client that sent 1000 bytes and got 10, and a TIME_WAIT."""

DUMP_IPV6 = _unpacked(
    "eNpbwMjAIMLAxACkGFbUuT3k4mJgkJ/AQBRgEVFF4TdA6bhtGoysDBxgNisDN5jmYOAH0zwMomC7QICNQYxBCEjLMDIxcOGxp4GB"
    "dAAzjxlN/D8aYBjkYAZ6/DCC4ueKAJoyRmx8VrT4gYEkpPghFC9gMfZVjA9kmOGRIcGE3a06jAgawmZk2AEMYU5QWoGEfT0oXkBi"
    "sHjZAY2Byb7vLSWQ4geb+TBrOUkIP0YiVe34T414mfYBOaXVo1iP4LPhiJcEMuPFYQ4kXl4wExcvoNCVFWJkEICGJSheQLn0NFK8"
    "nIaGx+PZ32V4kOIFlq9gdjFB45YBSjPCw9zjBb6wZ0LLpzhjT4SR4ni5IoBRomHNL+w44iWRgvxyp560/HIEGO68YDOx55cj0Hgx"
    "YHt3QAApXhixhC9MjJfK+QWSV0iLFxFwWYyIF5AYAFEffXQ="
)
"""An IPv6 dump: a dual-stack listener on 8080, the two connections that it accepted, and an IPv6 client."""

NOTICES = _unpacked(
    "eNqrYWRgEGFAAC52BqLBf2FVnHKsDFwMbEBahpGJAWoko4MTP5ghwYTbzIDc/3AaxoaBCReYGf7//1/PBeUzo7sHDeB1OwF5eoAa"
    "tLBnAgbUdAb5CfXAsEJWh84HAxFE2DMSCnv2VYwPZKCh1YA//FHDiIHhOhCzQcMaFPbcQPr0f0TYX4eG4sEpNv4qSHHAhOY2FpD/"
    "oGw2JDtWrTq0CJ8biHMqIwO2ICIl7EHpXn7CdBTfo4Y7gs8oQkK6pyDsQeHMDg07bGF/Ghr2ok2vVOWRwp4RLewZoWaAnTMIwh4A"
    "tm9fVw=="
)
"""Destroy notices: a socket that never was connected, and both ends of a connection that ended by FIN."""
