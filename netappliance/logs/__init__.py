"""Logs: lines in batches, files that rotate, diagnostics, the access log."""
