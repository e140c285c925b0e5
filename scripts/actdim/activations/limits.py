"""How much of the activations is computed at once, and which layers are stored as float32 in any case."""

BATCH = 100  # samples; the outputs of larger batches of a wide layer take new memory each time, which is slow
NARROW = 1024  # features of a layer that is stored as float32, because it saves little to halve it
