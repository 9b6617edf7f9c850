"""OpenVINO models on the processor."""
