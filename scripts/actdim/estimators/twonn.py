"""TwoNN by maximum likelihood."""

from typing import Annotated

import numpy as np
from pydantic import Field

from actdim.estimators.result import TAILS, NoEstimate, decimated_too, log_ratios, require, require_continuous


def twonn(
    lists,
    *,
    fraction: Annotated[
        float,
        Field(gt=0, le=1, description="fraction of the ratios r2 / r1 to use, the lowest; the others are censored"),
    ] = 1.0,
):
    """TwoNN by maximum likelihood (Facco et al. 2017, eq. 3), with its exact 95 % interval.

    mu = r2 / r1 follows a Pareto law with exponent d. From the N usable mu, d = N / sum(log mu), and the sum is
    Gamma(N, d). With fraction < 1 only the lowest r = fraction N of mu count and the others are taken as censored
    at the r-th: d = r / (sum of the lowest r + (N - r) times the r-th), in which the total is Gamma(r, d).
    Points with r1 = 0 (duplicates) are dropped. `decimated`: the same on a half, a quarter, an eighth of the points.
    """
    require_continuous(lists.distances)
    decimated = decimated_too(lists.decimated, lambda distances: likeliest(distances, fraction))
    return {**likeliest(lists.distances, fraction), "decimated": decimated}


def likeliest(distances, fraction):
    """Return the estimate from distances (n, 2 or more)."""
    from scipy.special import gammaincinv

    ratios, dropped = log_ratios(distances)
    count = int(np.floor(fraction * len(ratios)))
    require(count)
    lowest = np.sort(ratios)[:count]
    total = lowest.sum() + (len(ratios) - count) * lowest[-1]
    if total == 0:
        raise NoEstimate(f"r1 = r2 at the lowest {fraction:.0%} of the points")
    low, high = gammaincinv(count, TAILS) / total
    return {"id": count / total, "low": low, "high": high, "n_dropped": dropped, "n_ties": (ratios == 0).sum()}
