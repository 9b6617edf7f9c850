"""From a float model to an artifact, one tool a file."""
