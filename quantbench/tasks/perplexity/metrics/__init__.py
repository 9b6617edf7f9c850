"""What windows say of a language model: likelihoods, and how far its float model is followed."""
