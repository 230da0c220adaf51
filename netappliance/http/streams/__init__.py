"""
Streams: one request and its response on a connection, whatever the version of HTTP.

``stream.py`` has the words that an exchange and its two streams say to each other; the other files say them in
HTTP/1.1.
"""
