"""Importers that make OpenVINO models, by its own front ends."""
