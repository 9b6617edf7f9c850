"""What becomes a GGUF model."""
