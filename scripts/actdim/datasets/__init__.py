"""The data sets: a module for each, what they have in common (dataset.py), and samples on the device (device.py).

A study names a data set of registry.py, or a function of the user's own that returns a DataSet.
"""

from actdim.datasets.dataset import DataSet, Split

__all__ = ["DataSet", "Split"]
