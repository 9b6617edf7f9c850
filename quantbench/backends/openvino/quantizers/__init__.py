"""Builders of OpenVINO schemes."""
