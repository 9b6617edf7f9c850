"""Mixed precision for a `.tflite`: recipes, their search, and models built from them."""
