"""What trainings of all backends share: a schedule, and a checkpoint that outlives a kill."""
