"""Pure rules that turn a fingerprint into a plan."""
