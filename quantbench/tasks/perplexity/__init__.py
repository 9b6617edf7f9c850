"""Perplexity on windows of a text, and how far each next-token distribution has moved."""
