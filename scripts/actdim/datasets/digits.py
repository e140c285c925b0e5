"""Handwritten digits, 8x8 gray scans, inside scikit-learn."""

from typing import Annotated

import numpy as np
from pydantic import Field

from actdim.datasets import DataSet, split_at_random

SAMPLES = 1797


def digits(*, train_size: Annotated[int, Field(ge=1, lt=SAMPLES)] = 897) -> DataSet:
    """The 1,797 digits, standardized by the training pixels; `train_size` for training, the rest for validation."""

    def load():
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        split = split_at_random(images.astype(np.float32).reshape(-1, 1, 8, 8), labels.astype(np.int64), train_size)
        mean, std = split["train"].inputs.mean(), split["train"].inputs.std()
        return {name: part._replace(inputs=(part.inputs - mean) / std) for name, part in split.items()}

    return DataSet(shape=(1, 8, 8), classes=10, load=load)
