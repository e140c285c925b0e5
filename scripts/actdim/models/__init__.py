"""The models; each module here makes one (the table is in registry.py).

A model is an nn.Module that maps inputs (n, *shape) to logits (n, classes). Its attribute `layers` names
the submodules that a reader of the paper would name, in order of depth; the last one feeds the classifier.
"""
