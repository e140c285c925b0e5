"""TwoNN by the paper's procedure."""

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import ndtri

from actdim.estimators.result import TAILS, decimated_too, log_ratios, require, require_continuous
from actdim.neighbors.subsets import first_two_within


def twonn_fit(
    lists,
    *,
    fraction: Annotated[
        float, Field(gt=0, le=1, description="fraction of the ratios r2 / r1 to fit, the lowest")
    ] = 0.9,
    subsamples: Annotated[int, Field(ge=2, description="random subsamples to average over")] = 20,
    subsample_fraction: Annotated[
        float, Field(gt=0, lt=1, description="fraction of the points in each subsample")
    ] = 0.9,
    seed: Annotated[int, Field(ge=0, description="seed of the subsamples")] = 0,
):
    """The paper's procedure (arXiv 2211.13239): TwoNN by regression, mean and standard deviation over subsamples.

    In each random subsample of the points, a point's first two neighbors are the first two of its list that are
    in the subsample, so that nothing is searched again. On the lowest `fraction` of mu, -log(1 - F) = d log mu
    is fitted through the origin, F_i = i / N (Facco et al. 2017, eq. 5); r1 = 0 and r1 = r2 are dropped.

    `std` is the standard deviation over subsamples, which the paper reports; it is smaller than the error of the
    estimate, for subsamples share most of their points. low and high are those of the law for a fit to all points.
    `decimated`: the fit to a half, a quarter, an eighth of the points.
    """
    distances, indices, decimated = lists
    require_continuous(distances)
    whole = fit_to_all(distances, fraction)
    rng = np.random.default_rng(seed)
    n = len(distances)
    size = int(subsample_fraction * n)
    estimates = []
    for _ in range(subsamples):
        inside = np.zeros(n, dtype=bool)
        inside[rng.choice(n, size, replace=False)] = True
        ratios, _ = log_ratios(first_two_within(distances[inside], inside[indices[inside]]))
        estimates.append(slope(np.sort(ratios[ratios > 0]), fraction))
    mean = np.mean(estimates)
    shift = mean / whole["id"]
    return {
        "id": mean,
        "low": whole["low"] * shift,
        "high": whole["high"] * shift,
        "n_dropped": whole["n_dropped"],
        "std": np.std(estimates, ddof=1),
        "decimated": decimated_too(decimated, lambda distances: fit_to_all(distances, fraction)),
    }


def fit_to_all(distances, fraction):
    """Return the fit to all points, with the interval of its law, from distances (n, 2 or more)."""
    ratios, _ = log_ratios(distances)
    ratios = np.sort(ratios[ratios > 0])
    estimate = slope(ratios, fraction)
    half = -ndtri(TAILS[0]) * estimate * relative_error(len(ratios), fraction)
    return {"id": estimate, "low": estimate - half, "high": estimate + half, "n_dropped": len(distances) - len(ratios)}


def slope(ratios, fraction):
    """Return the slope through the origin of -log(1 - F) on the lowest `fraction` of the sorted log mu.

    The highest point has F = 1 and can never be fitted.
    """
    x = ratios[: fitted(len(ratios), fraction)]
    y = expected(len(ratios), fraction)
    return (x @ y) / (x @ x)


def fitted(count, fraction):
    """Return how many of `count` log mu are fitted: the highest never is, for it has F = 1."""
    lowest = min(int(fraction * count), count - 1)
    require(lowest)
    return lowest


def expected(count, fraction):
    """Return -log(1 - F) of the fitted points, (fitted,)."""
    return -np.log1p(-np.arange(1, fitted(count, fraction) + 1) / count)


def relative_error(count, fraction):
    """Return the standard error of the fitted slope over the slope, for large `count`.

    d log mu are exponential, and their order statistics vary about y = -log(1 - F) with the covariance
    F / (1 - F) / count, F the smaller of the two (David and Nagaraja 2003, section 10.3). To first order the
    slope is off by the sum of y times that deviation, over the sum of y^2.
    """
    y = expected(count, fraction)
    smaller = np.arange(1, len(y) + 1) / count
    from_here = y[::-1].cumsum()[::-1]
    variance = (smaller / (1 - smaller) / count * y * (2 * from_here - y)).sum()
    return np.sqrt(variance) / (y @ y)
