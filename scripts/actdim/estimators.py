"""Estimators of the intrinsic dimension (ID) from stored neighbor lists.

An estimator is a function of the distances (n, k) float32 and indices (n, k) int32 of every point's nearest
neighbors, sorted, and of its own keyword settings. It returns a dict: id, low and high (the 95 % interval),
n_dropped, and diagnostics of its own; or raises NoEstimate with the reason why there is none.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

FEWEST = 10  # usable points
LEVEL = 0.95
Fraction = Annotated[float, Field(gt=0, le=1)]


class NoEstimate(Exception):
    """The data allow no estimate; the text is the reason that the tables show."""


def twonn(distances, indices, *, fraction: Fraction = 1.0):
    """TwoNN by maximum likelihood (Facco et al. 2017, eq. 3), with its exact 95 % interval.

    mu = r2 / r1 follows a Pareto law with exponent d. From the N usable mu, d = N / sum(log mu), and the sum is
    Gamma(N, d). With fraction < 1 only the lowest r = fraction N of mu count and the others are taken as censored
    at the r-th: d = r / (sum of the lowest r + (N - r) times the r-th), in which the total is Gamma(r, d).
    Points with r1 = 0 (duplicates) are dropped.
    """
    from scipy.special import gammaincinv

    ratios, dropped = log_ratios(distances)
    count = int(np.floor(fraction * len(ratios)))
    require(count)
    lowest = np.sort(ratios)[:count]
    total = lowest.sum() + (len(ratios) - count) * lowest[-1]
    if total == 0:
        raise NoEstimate(f"r1 = r2 at the lowest {fraction:.0%} of the points")
    tail = (1 - LEVEL) / 2
    low, high = gammaincinv(count, [tail, 1 - tail]) / total
    return {"id": count / total, "low": low, "high": high, "n_dropped": dropped, "n_ties": (ratios == 0).sum()}


def twonn_fit(
    distances,
    indices,
    *,
    fraction: Fraction = 0.9,
    subsamples: Annotated[int, Field(ge=2)] = 20,
    subsample_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.9,
    seed: Annotated[int, Field(ge=0)] = 0,
):
    """The paper's procedure (arXiv 2211.13239): TwoNN by regression, mean and standard deviation over subsamples.

    In each random subsample of the points, a point's first two neighbors are the first two of its list that are
    in the subsample, so that nothing is searched again. On the lowest `fraction` of mu, -log(1 - F) = d log mu
    is fitted through the origin, F_i = i / N (Facco et al. 2017, eq. 5); r1 = 0 and r1 = r2 are dropped.

    `std` is the standard deviation over subsamples, which the paper reports; it is smaller than the error of the
    estimate, for subsamples share most of their points. low and high are those of the law for a fit to all points.
    """
    ratios, dropped = log_ratios(distances)
    rng = np.random.default_rng(seed)
    n = len(distances)
    size = int(subsample_fraction * n)
    estimates = []
    for _ in range(subsamples):
        inside = np.zeros(n, dtype=bool)
        inside[rng.choice(n, size, replace=False)] = True
        own, _ = log_ratios(first_two(distances[inside], inside[indices[inside]]))
        estimates.append(fit(np.sort(own[own > 0]), fraction))
    mean = np.mean(estimates)
    half = 1.96 * mean * relative_error_of_fit((ratios > 0).sum(), fraction)
    return {
        "id": mean,
        "low": mean - half,
        "high": mean + half,
        "n_dropped": dropped + (ratios == 0).sum(),
        "std": np.std(estimates, ddof=1),
    }


ESTIMATORS = {"twonn": twonn, "twonn_fit": twonn_fit}


def log_ratios(distances):
    """Return (log mu of the points with r1 > 0, the number of the others) from distances (n, at least 2).

    Raises NoEstimate where most points have r1 = r2: mu then says nothing of a dimension.
    """
    if distances.shape[1] < 2:
        raise NoEstimate("fewer than two neighbors a point")
    r1, r2 = distances[:, 0].astype(np.float64), distances[:, 1].astype(np.float64)
    usable = (r1 > 0) & np.isfinite(r2)
    ratios = np.log(r2[usable] / r1[usable])
    require(len(ratios))
    ties = np.mean(ratios == 0)
    if ties > 0.5:
        raise NoEstimate(f"r1 = r2 at {100 * ties:.0f} % of the points: the data are discrete")
    return ratios, int((~usable).sum())


def require(count):
    """Raise NoEstimate where too few usable points are left."""
    if count < FEWEST:
        raise NoEstimate(f"{count} usable points, fewer than {FEWEST}")


def first_two(distances, inside):
    """Return (n, 2) distances to the first two neighbors that are `inside`; infinite where the list has none.

    distances, inside: (n, k).
    """
    rank = inside.cumsum(axis=1)
    columns = [np.argmax(inside & (rank == number), axis=1) for number in (1, 2)]
    found = np.take_along_axis(distances, np.stack(columns, axis=1), axis=1).astype(np.float64)
    found[rank[:, -1] < 2] = np.inf
    return found


def fit(ratios, fraction):
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


def relative_error_of_fit(count, fraction):
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
