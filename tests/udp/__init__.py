"""Tests of the datagram proxy."""
