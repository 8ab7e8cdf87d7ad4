"""Build the UNETR from values, load base weights, name its layer stacks, and know the machine it runs on."""
