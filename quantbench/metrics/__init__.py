"""Pure functions from evidence rows and weights to numbers."""
