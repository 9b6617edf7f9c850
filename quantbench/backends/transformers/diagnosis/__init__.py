"""Why a quantized checkpoint is worse than its float model."""
