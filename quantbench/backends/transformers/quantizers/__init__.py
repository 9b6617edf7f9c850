"""A tool a file."""
