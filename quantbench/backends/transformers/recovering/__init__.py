"""Low-rank adapters that give back what rounding took from a checkpoint."""
