"""Load what a command needs, check that it belongs together, and string stages together."""
