"""From numbers to intervals, differences and outcomes."""
