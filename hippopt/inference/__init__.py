"""Windows and ensembling: from a prepared image to class probabilities."""
