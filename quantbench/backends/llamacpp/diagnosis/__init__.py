"""Why a GGUF model is as fast as it is."""
