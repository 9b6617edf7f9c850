"""Builders of ONNX schemes."""
