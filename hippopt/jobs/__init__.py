"""Run commands of hippopt in processes of their own: side by side on this machine, or as tasks of a cluster."""
