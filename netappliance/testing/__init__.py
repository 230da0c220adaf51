"""Doubles and contract tests that authors of plug-ins import."""
