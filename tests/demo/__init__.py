"""Tests of netappliance.demo."""
