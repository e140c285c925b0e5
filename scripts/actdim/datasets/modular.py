"""Equations a o b mod p, the grokking task of Power et al. 2022 (arXiv 2201.02177)."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from actdim.datasets.dataset import DataSet, split_at_random


def modular(
    *,
    operation: Annotated[
        Literal["sum", "subtraction", "division"], Field(description="the operation o of a o b = ?")
    ] = "division",
    modulus: Annotated[int, Field(ge=3, description="a prime")] = 97,
    train_fraction: Annotated[float, Field(gt=0, lt=1, description="fraction of the equations for training")] = 0.5,
) -> DataSet:
    """All equations `a o b =` over the residues of a prime, as four tokens each; the class is the result.

    Division leaves out b = 0. Tokens 0 ... modulus - 1 are residues, then the operation and the equals sign.
    """
    if any(modulus % factor == 0 for factor in range(2, int(modulus**0.5) + 1)):
        raise ValueError(f"modulus {modulus} is not prime")

    def load():
        a, b = np.divmod(np.arange(modulus**2), modulus)
        if operation == "division":
            a, b = a[b > 0], b[b > 0]
            inverse = np.array([0] + [pow(x, -1, modulus) for x in range(1, modulus)])
            result = a * inverse[b] % modulus
        else:
            result = (a + b if operation == "sum" else a - b) % modulus
        tokens = np.stack([a, np.full_like(a, modulus), b, np.full_like(a, modulus + 1)], axis=1)
        return split_at_random(tokens, result, train_size)

    equations = modulus * (modulus - (operation == "division"))
    train_size = round(train_fraction * equations)
    sizes = {"train": train_size, "validation": equations - train_size}
    return DataSet(shape=(4,), classes=modulus, sizes=sizes, load=load, vocabulary=modulus + 2)
