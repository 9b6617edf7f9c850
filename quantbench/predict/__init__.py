"""Opened artifacts that answer, one runtime a file."""
