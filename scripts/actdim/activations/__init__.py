"""Activations of a model on a split: computed batch by batch, rounded to float16 where that is harmless, and stored."""
