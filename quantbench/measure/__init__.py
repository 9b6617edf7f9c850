"""Memory, energy and devices."""
