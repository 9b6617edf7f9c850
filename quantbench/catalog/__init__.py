"""What can be studied: models, data sets, and where their files come from."""
