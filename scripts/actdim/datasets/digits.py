"""Handwritten digits, 8x8 gray scans, inside scikit-learn."""

from importlib.util import find_spec

import numpy as np

from actdim.datasets.dataset import DataSet, split_at_random

SIZES = {"train": 897, "validation": 900}


def digits() -> DataSet:
    """The 1,797 digits, standardized by the training pixels."""

    def load():
        # Read the file directly, because importing scikit-learn takes longer than all else that a dump does.
        folder = find_spec("sklearn").submodule_search_locations[0]
        table = np.loadtxt(f"{folder}/datasets/data/digits.csv.gz", delimiter=",", dtype=np.float32)
        images, labels = table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)
        split = split_at_random(images, labels, SIZES["train"])
        mean, std = split["train"].inputs.mean(), split["train"].inputs.std()
        return {name: part._replace(inputs=(part.inputs - mean) / std) for name, part in split.items()}

    return DataSet(shape=(1, 8, 8), classes=10, sizes=SIZES, load=load)
