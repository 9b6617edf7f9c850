"""Why a quantized model is worse: causes with the ops and the numbers that convict them."""
