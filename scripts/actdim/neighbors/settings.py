"""How to search for neighbors, as a study states it."""

from typing import Annotated, Literal

from pydantic import Field

from actdim.neighbors import search
from actdim.validation import Settings, Unit


class Neighbors(Settings):
    """How to search for neighbors."""

    method: Literal[tuple(search.METHODS)] = "auto"
    k: Annotated[int, Field(ge=2)] = 32
    seed: Unit = 0
