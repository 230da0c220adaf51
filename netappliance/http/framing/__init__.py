"""
HTTP/1.x messages as bytes: judged strictly, never repaired (RFC 9110, RFC 9112). Sans-I/O.

What is forwarded is written anew from what was parsed. The verdict on a message depends on its bytes alone, never on
how they were cut into reads.
"""
