"""Tests of netappliance.tls.certificates."""
