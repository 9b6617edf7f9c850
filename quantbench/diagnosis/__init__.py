"""What the diagnoses and mendings of all backends share."""
