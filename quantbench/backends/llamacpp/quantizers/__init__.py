"""What makes GGUF models smaller."""
