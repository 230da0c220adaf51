"""Certificates with their keys: a directory of PEM files, chosen by name, followed while it changes."""
