"""The last word of a passage, judged by accuracy and perplexity."""
