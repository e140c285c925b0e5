"""The networks: a module for each, how one is built (build.py), its layers by name (layers.py), and its shapes,
parameters and FLOPs, found without data or weights (summary.py).

A model is an nn.Module that maps inputs (n, *shape) to logits (n, classes). Its attribute `layers` names the submodules
to measure, from the input to the one that feeds the classifier.
"""
