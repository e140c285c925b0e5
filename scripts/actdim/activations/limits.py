"""How much of the activations is computed at once."""

BATCH = 100  # samples; the outputs of larger batches of a wide layer take new memory each time, which is slow
