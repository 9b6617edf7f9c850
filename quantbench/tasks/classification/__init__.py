"""Image classification, judged by its answers, its probabilities and the float model's."""
