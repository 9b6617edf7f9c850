"""The embedded detector: scenes, network, training, weights."""
