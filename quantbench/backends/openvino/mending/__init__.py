"""Mixed precision in OpenVINO: which ops go back to float."""
