"""LiteRT: float models converted and quantized by TensorFlow's converter and ai-edge-quantizer."""
