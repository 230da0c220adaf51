"""Tests of netappliance.tls."""
