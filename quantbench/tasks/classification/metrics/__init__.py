"""What answers, probabilities and the float model's say of a classifier."""
