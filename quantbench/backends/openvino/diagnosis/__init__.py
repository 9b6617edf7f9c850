"""Why a quantized OpenVINO model is worse than its float model."""
