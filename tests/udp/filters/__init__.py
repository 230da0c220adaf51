"""Tests of netappliance.udp.filters."""
