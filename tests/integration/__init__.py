"""Tests that start real processes, on loopback only."""
