"""Why a quantized model is slower than its float model, or no faster: time by op, side by side."""
