"""Hugging Face checkpoints: quantized by several tools, run by transformers and torch."""
