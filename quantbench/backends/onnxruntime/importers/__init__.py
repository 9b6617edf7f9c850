"""Importers that make ONNX models."""
