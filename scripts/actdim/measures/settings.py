"""How to take the measures that probe a checkpoint itself, as config.yaml and a study state it."""

from typing import Annotated, Literal

from pydantic import Field

from actdim.validation import Count, NonNegative, Settings, Unit


class Directions(Settings):
    """How to measure the reliance on single directions."""

    clamp: Literal["zero", "mean"] = Field("zero", description="the value at which an ablated unit is held")
    orders: Count = Field(10, description="random orders in which the units are ablated")
    points: int = Field(21, ge=2, description="points of the ablation curve: fractions of the units, from none to all")
    noise: Annotated[list[NonNegative], Field(min_length=1)] = Field(
        [0, 0.25, 0.5, 1, 2, 4], description="strengths of the noise, in standard deviations of each unit"
    )
    draws: Count = Field(10, description="random directions of noise for each strength")
    samples: Count = Field(1000, description="samples of each split, at most")
    seed: Unit = Field(
        0, description="seed of the choice of samples and, with the run and layer, of orders and directions"
    )


class FunctionalDimension(Settings):
    """How to measure the functional dimension."""

    split: Literal["train", "validation"] = Field("train", description="the split that the batch is drawn from")
    samples: Count = Field(100, description="samples in the batch, at most")
    outputs: Literal["logits", "probabilities"] = Field(
        "logits", description="the outputs to differentiate; probabilities (softmax) lose rank where they saturate"
    )
    full: bool = Field(False, description="measure the rank on growing batches of random inputs, too")
    tolerance: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="singular values count above this fraction of the largest; null: the rounding error of float64",
    )
    memory: float = Field(2.0, gt=0, description="GB that the matrices may take; what needs more is refused")
    seed: Unit = Field(0, description="seed of the choice of samples and of the random inputs")


class Norms(Settings):
    """How to measure the margin and the norms of the weights."""

    percentile: float = Field(10, ge=0, le=100, description="percentile of the training samples' margins")
