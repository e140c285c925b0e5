"""Composition in a permutation group, a grokking task of Power et al. 2022 (arXiv 2201.02177)."""

import itertools
from math import factorial
from typing import Annotated

import numpy as np
from pydantic import Field

from actdim.datasets.dataset import DataSet, split_at_random


def permutations(
    *,
    elements: Annotated[int, Field(ge=3, le=6, description="elements that are permuted")] = 5,
    train_fraction: Annotated[float, Field(gt=0, lt=1, description="fraction of the equations for training")] = 0.5,
) -> DataSet:
    """All equations `a o b =` in the symmetric group on `elements`, as four tokens each.

    (a o b)(x) = a(b(x)); the class is the number of the result in lexicographic order.
    """
    order = factorial(elements)
    train_size = round(train_fraction * order**2)
    sizes = {"train": train_size, "validation": order**2 - train_size}

    def load():
        group = np.array(list(itertools.permutations(range(elements))))
        a, b = np.divmod(np.arange(order**2), order)
        digits = elements ** np.arange(elements)[::-1]
        number = np.zeros(elements**elements, dtype=np.int64)
        number[group @ digits] = np.arange(order)
        result = number[np.take_along_axis(group[a], group[b], axis=1) @ digits]
        tokens = np.stack([a, np.full_like(a, order), b, np.full_like(a, order + 1)], axis=1)
        return split_at_random(tokens, result, train_size)

    return DataSet(shape=(4,), classes=order, sizes=sizes, load=load, vocabulary=order + 2)
