"""The networks, a module each; how one is built (build.py), its layers by name (layers.py), its shapes, parameters and
FLOPs without data or weights (summary.py), and layers that train faster on a CPU (cpu_layers.py).

A model is an nn.Module that maps inputs (n, *shape) to logits (n, classes). Its attribute `layers` names the submodules
to measure, from the input to the one that feeds the classifier.
"""
