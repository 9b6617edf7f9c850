"""What every room stands on: digests, JSON, progress, settings, entry points."""
