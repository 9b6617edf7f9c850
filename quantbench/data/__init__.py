"""Samples: pictures and passages, read, checked and grouped."""
