"""Alerts that are sent without a TLS library, before a connection has one (RFC 8446 section 6). Sans-I/O."""

from __future__ import annotations

from typing import Final

UNEXPECTED_MESSAGE: Final = 10
RECORD_OVERFLOW: Final = 22
ILLEGAL_PARAMETER: Final = 47
DECODE_ERROR: Final = 50
PROTOCOL_VERSION: Final = 70
INTERNAL_ERROR: Final = 80
UNRECOGNIZED_NAME: Final = 112
NO_APPLICATION_PROTOCOL: Final = 120


def fatal_alert(description: int) -> bytes:
    """
    Return the record of a fatal alert in clear text.

    :param description: one of the numbers above, or another of RFC 8446 section 6; 0 to 255.
    """
    # its version is TLS 1.2's in every record that may be read by a client of TLS 1.3 (section 5.1)
    return bytes((21, 3, 3, 0, 2, 2, description))
