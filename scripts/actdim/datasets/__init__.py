"""What a data set is; each module here makes one (the table is in registry.py)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Samples and their classes."""

    inputs: np.ndarray  # (n, *shape), float32 images or int64 tokens
    labels: np.ndarray  # (n,), int64
    index: np.ndarray  # (n,), int64: the row of each sample in the data set


class DataSet(NamedTuple):
    """A data set's shape, known without reading it, and how to read it."""

    shape: tuple[int, ...]  # of one sample
    classes: int
    load: Callable[[], dict[str, Split]]  # {"train": Split, "validation": Split}
    vocabulary: int = 0  # number of tokens; 0 where the inputs are not tokens


def split_at_random(inputs, labels, train_size, seed=0):
    """Split samples into `train_size` for training and the rest for validation, the same way for every run."""
    order = np.random.default_rng(seed).permutation(len(inputs))
    parts = {"train": np.sort(order[:train_size]), "validation": np.sort(order[train_size:])}
    return {name: Split(inputs[rows], labels[rows], rows) for name, rows in parts.items()}
