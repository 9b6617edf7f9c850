"""A folder a runtime: its schemes, quantizers, runner, checks, diagnosis and mending."""
