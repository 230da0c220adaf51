"""Sections of the datagram filters, a file each: they are read by their fields, and documented by their text."""
