"""Bits for each layer: the search of a recipe."""
