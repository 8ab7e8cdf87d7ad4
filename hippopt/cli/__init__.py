"""One thin module per command: parse, call the recipe or stage, print, exit code."""
