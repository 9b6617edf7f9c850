"""Schemes that are trained back: a `.tflite` whose weights learn from what the float model says."""
