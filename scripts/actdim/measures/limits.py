"""How much the measures compute at once."""

BATCH = 100  # samples of a forward pass
UNITS = 1000  # units of a layer, each ablated alone
