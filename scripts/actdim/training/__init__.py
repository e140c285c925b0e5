"""Training: the loop, one step, batches and augmentation, regularizers, and checkpoints."""
