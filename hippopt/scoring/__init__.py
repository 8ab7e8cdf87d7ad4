"""Overlap, surface distances and volumes of a prediction against a reference; their tables and statistics."""
