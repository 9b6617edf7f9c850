"""Why a quantized ONNX model is worse than its float model."""
