"""Tests of netappliance.admin."""
