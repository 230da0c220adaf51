"""Tests of the connection tracker."""
