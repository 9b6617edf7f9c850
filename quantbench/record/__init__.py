"""What was measured, as versioned JSON."""
