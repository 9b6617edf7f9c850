"""Energy by this machine's own counters, or by a rate that the user states; never by a table."""
