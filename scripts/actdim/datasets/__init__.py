"""The data sets: a module for each, what they have in common (dataset.py), and samples on the device (device.py)."""

from actdim.datasets.dataset import DataSet, Split

__all__ = ["DataSet", "Split"]
