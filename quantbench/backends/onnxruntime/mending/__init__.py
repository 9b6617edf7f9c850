"""Mixed precision in ONNX: which nodes stay in float."""
