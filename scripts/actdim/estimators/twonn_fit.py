"""TwoNN by the paper's procedure."""

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import ndtri

from actdim.estimators.ratios import TAILS, estimates_on_subsets, log_ratios, require_continuous, require_points
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
    estimate, because subsamples share most of their points. low and high are those of the law for a fit to all points,
    scaled to the estimate. `decimated` holds the fits to a half, a quarter and an eighth of the points.
    Raises NoEstimate where the lists are too short, the data are discrete, or too few points are usable.
    """
    distances, indices, decimated = lists
    require_continuous(distances)
    full = fit_all_points(distances, fraction)
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
    scale = mean / full["id"]
    return {
        "id": mean,
        "low": full["low"] * scale,
        "high": full["high"] * scale,
        "n_dropped": full["n_dropped"],
        "std": np.std(estimates, ddof=1),
        "decimated": estimates_on_subsets(decimated, lambda distances: fit_all_points(distances, fraction)),
    }


def fit_all_points(distances, fraction):
    """Return the fit to all points with the interval of its law, from distances (n, 2 or more)."""
    ratios, _ = log_ratios(distances)
    ratios = np.sort(ratios[ratios > 0])
    estimate = slope(ratios, fraction)
    half_width = -ndtri(TAILS[0]) * estimate * relative_error(len(ratios), fraction)
    low, high = estimate - half_width, estimate + half_width
    return {"id": estimate, "low": low, "high": high, "n_dropped": len(distances) - len(ratios)}


def slope(ratios, fraction):
    """Return the slope through the origin of -log(1 - F) over the lowest `fraction` of log mu, ascending."""
    y = exponential_quantiles(len(ratios), fraction)
    x = ratios[: len(y)]
    return (x @ y) / (x @ x)


def exponential_quantiles(count, fraction):
    """Return -log(1 - F_i), F_i = i / count, of the lowest `fraction` of `count` points; not of the last, where F = 1.

    Raises NoEstimate where that leaves too few.
    """
    fitted = min(int(fraction * count), count - 1)
    require_points(fitted)
    return -np.log1p(-np.arange(1, fitted + 1) / count)


def relative_error(count, fraction):
    """Return the standard error of the fitted slope divided by the slope, for `count` points, if they are many.

    d log mu are exponential. Their order statistics i <= j deviate from y = -log(1 - F) with the covariance
    F_i / (1 - F_i) / count (David and Nagaraja 2003, section 10.3). To first order, the relative error of the slope is
    the sum of y times these deviations, divided by the sum of y^2.
    """
    y = exponential_quantiles(count, fraction)
    f = np.arange(1, len(y) + 1) / count
    sum_from_i = y[::-1].cumsum()[::-1]
    variance = (f / (1 - f) / count * y * (2 * sum_from_i - y)).sum()
    return np.sqrt(variance) / (y @ y)
