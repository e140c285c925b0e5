"""How to search for neighbors, as config.yaml and a study state it."""

from typing import Literal

from pydantic import Field

from actdim.errors import UserError
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


def add_search_options(parser):
    """Add the options of a neighbor search to a parser: --method, --k, --seed."""
    defaults = Neighbors()
    parser.add_argument(
        "--method", choices=list(search.METHODS), default=defaults.method, help="(default: %(default)s)"
    )
    parser.add_argument("--k", type=int, default=defaults.k, help="neighbors of every sample (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of everything random (default: %(default)s)")


def search_settings(arguments):
    """Return the Neighbors that the options of `add_search_options` state. Raises UserError."""
    if arguments.k < 2:
        raise UserError(f"--k {arguments.k}: should be 2 or more")
    return Neighbors(method=arguments.method, k=arguments.k, seed=arguments.seed)
