"""Tests of netappliance.sessions."""
