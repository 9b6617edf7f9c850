"""A folder a task: what a sample, a row and a metric are."""
