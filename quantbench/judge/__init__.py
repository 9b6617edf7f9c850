"""Verdicts on results that are there already: no model is run."""
