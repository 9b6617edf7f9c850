"""From other formats to a Hugging Face checkpoint."""
