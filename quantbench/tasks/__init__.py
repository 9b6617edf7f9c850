"""From samples and predictions to evidence rows."""
