"""What a study says of the measures that probe a checkpoint itself: where to take them, and how."""

from typing import Annotated, Literal

from pydantic import Field

from actdim.validation import Count, Settings, Unit


class Directions(Settings):
    """How to measure the reliance on single directions; see directions.py."""

    clamp: Literal["zero", "mean"] = "zero"  # what an ablated unit is held at
    orders: Count = 10  # random orders of the units
    points: Annotated[int, Field(ge=2)] = 21  # fractions of the units ablated, from none to all
    noise: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = [0, 0.25, 0.5, 1, 2, 4]
    draws: Count = 10  # random directions for each strength of noise
    samples: Count = 1000  # of each split, at most
    seed: Unit = 0


class FunctionalDimension(Settings):
    """How to measure the functional dimension; see functional_dimension.py."""

    split: Literal["train", "validation"] = "train"
    samples: Count = 100  # in the batch, at most
    outputs: Literal["logits", "probabilities"] = "logits"  # probabilities: of softmax, as in the paper's code
    full: bool = False  # also the computable full functional dimension, on growing random batches
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = None  # relative; None: that of the float64 arithmetic
    memory: Annotated[float, Field(gt=0)] = 2.0  # GB that matrices may take; beyond, it is refused
    seed: Unit = 0
