"""Contracts for authors of plug-ins, and what happens to what plug-ins hand in."""
