"""One thin module a command: parse, call the stage, print, exit code."""
