"""Why a quantized `.tflite` is worse than its float model."""
