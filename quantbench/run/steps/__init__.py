"""The steps of a case's way: plain data in, files in the store out."""
