"""The search for a mixed-precision recipe that backends share."""
