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
            "exact; pynndescent: approximate, with its recall measured; auto: the faster of the two by the number of "
            "points and features, with an exact search where the recall turns out too low"
        ),
    )
    k: int = Field(32, ge=2, description="neighbors to store for each point; some estimators need more than two")
    seed: Unit = Field(
        0, description="seed of the approximate search, the check of its recall, and the subsets of the scale check"
    )
