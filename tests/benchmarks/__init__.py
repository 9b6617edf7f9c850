"""The studies of `benchmarks/`, which are scripts and no part of the package."""
