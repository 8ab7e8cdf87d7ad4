"""What strings several stages together."""
