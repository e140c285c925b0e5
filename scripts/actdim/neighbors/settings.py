"""How to search for neighbors, as config.yaml and a study state it."""

from typing import Literal

from pydantic import Field

from actdim.neighbors import search
from actdim.validation import Settings, Unit


class Neighbors(Settings):
    """How to search for the nearest neighbors of every point."""

    method: Literal[tuple(search.METHODS)] = Field(
        "auto",
        description=(
            "exact; sketch: among candidates that some hundred sums of all features choose, with its recall measured; "
            "pynndescent: approximate, with its recall measured; auto: the fastest of the three by the number of "
            "points and features. Where the recall turns out too low, sketch and pynndescent search exactly"
        ),
    )
    k: int = Field(32, ge=2, description="neighbors to store for each point; some estimators need more than two")
    seed: Unit = Field(
        0, description="seed of the approximate search, the check of its recall, and the subsets of the scale check"
    )
