"""The models; the modules here make them (the table is in registry.py).

A model is an nn.Module that maps inputs (n, *shape) to logits (n, classes). Its attribute `layers` names
the submodules that a reader of the paper would name, in order of depth; the last one feeds the classifier.
(Without it a study names the layers; the last that is reached then counts as the one that feeds the classifier.)
"""
