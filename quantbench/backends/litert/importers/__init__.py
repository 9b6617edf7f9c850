"""From the formats of other tools to a SavedModel or a `.tflite`."""
