"""How much an evaluation computes at once."""

EVALUATED_SAMPLES = 1024
EVALUATED_VALUES = 1 << 22  # of the inputs, at most, because large images would fill the memory
