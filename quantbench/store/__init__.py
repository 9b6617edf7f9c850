"""What was built and predicted, kept by the digest of its ingredients."""
