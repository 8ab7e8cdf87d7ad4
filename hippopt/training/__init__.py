"""The training loop as a function of model, data, loss and schedule; checkpoints."""
