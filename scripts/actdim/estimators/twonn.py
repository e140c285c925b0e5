"""TwoNN by maximum likelihood."""

from typing import Annotated

import numpy as np
from pydantic import Field

from actdim.estimators.ratios import (
    TAILS,
    NoEstimate,
    estimates_on_subsets,
    log_ratios,
    require_continuous,
    require_points,
)


def twonn(
    lists,
    *,
    fraction: Annotated[
        float,
        Field(gt=0, le=1, description="fraction of the ratios r2 / r1 to use, the lowest; the others are censored"),
    ] = 1.0,
):
    """TwoNN by maximum likelihood (Facco et al. 2017, eq. 3), with its exact 95 % interval.

    mu = r2 / r1 follows a Pareto law with exponent d. From N usable points, d = N / sum(log mu), and the sum is
    Gamma(N, d). With fraction < 1 only the lowest r = fraction N values of mu count, and the others are taken as
    censored at the r-th of log mu, l_r: d = r / (sum of the lowest r + (N - r) l_r), where the denominator is
    Gamma(r, d). Points with r1 = 0, which are duplicates, are dropped.
    `decimated` holds the estimates on a half, a quarter and an eighth of the points.
    Raises NoEstimate where the lists are too short, the data are discrete, or too few points are usable.
    """
    require_continuous(lists.distances)
    decimated = estimates_on_subsets(lists.decimated, lambda distances: maximize_likelihood(distances, fraction))
    return {**maximize_likelihood(lists.distances, fraction), "decimated": decimated}


def maximize_likelihood(distances, fraction):
    """Return the estimate from distances (n, 2 or more); see `twonn`."""
    from scipy.special import gammaincinv

    ratios, dropped = log_ratios(distances)
    count = int(np.floor(fraction * len(ratios)))
    require_points(count)
    lowest = np.sort(ratios)[:count]
    total = lowest.sum() + (len(ratios) - count) * lowest[-1]
    if total == 0:
        raise NoEstimate(f"r1 = r2 at the lowest {fraction:.0%} of the points")
    low, high = gammaincinv(count, TAILS) / total
    return {"id": count / total, "low": low, "high": high, "n_dropped": dropped, "n_ties": (ratios == 0).sum()}
