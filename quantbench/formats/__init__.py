"""File formats that several backends read."""
