"""Tests of the ping service and its codec."""
