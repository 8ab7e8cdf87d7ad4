"""Compare ways to fine-tune on the same cases: what to run, what is left to do, and what is written."""
