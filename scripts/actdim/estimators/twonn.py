"""TwoNN by maximum likelihood."""

from typing import Annotated

import numpy as np
from pydantic import Field

from actdim.estimators.ratios import (
    TAILS,
    NoEstimate,
    estimates_on_subsets,
    is_usable,
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
    """TwoNN by maximum likelihood (Facco et al. 2017, eq. 3), with a 95 % interval that counts shared neighbors.

    mu = r2 / r1 follows a Pareto law with exponent d. From N usable points, d = N / sum(log mu), and the sum is
    Gamma(N, d). With fraction < 1 only the lowest r = fraction N values of mu count, and the others are taken as
    censored at the r-th of log mu, l_r: d = r / (sum of the lowest r + (N - r) l_r), where the denominator is
    Gamma(r, d). Points with r1 = 0, which are duplicates, are dropped.

    The law takes points as independent, but a point and its neighbors share distances. The variance of d / r is that of
    a sum of scores s_i = 1 - d log mu_i (censored: -d l_r), so it needs the covariances of points that depend on each
    other. Points count as dependent where one is among the first two neighbors of the other. With C the sum of s_i s_j
    over these pairs, each in both orders, the variance is r + C and not r: the points tell as much as
    n_independent = r^2 / (r + C) independent ones, with which the interval is computed. A negative C counts as 0.
    `decimated` holds the estimates on a half, a quarter and an eighth of the points, with intervals as much wider.
    Raises NoEstimate where the lists are too short, the data are discrete, or too few points are usable.
    """
    require_continuous(lists.distances)
    estimate = maximize_likelihood(lists.distances, fraction, lists.indices)
    shared = estimate["n_independent"] / estimate["n_used"]

    def of_subset(distances):
        return maximize_likelihood(distances, fraction, shared=shared)

    return {**estimate, "decimated": estimates_on_subsets(lists.decimated, of_subset)}


def maximize_likelihood(distances, fraction, indices=None, shared=1.0):
    """Return the estimate from distances (n, 2 or more); see `twonn`.

    indices: (n, 2 or more) the neighbors; without them, `shared` is n_independent over the number of points used.
    """
    from scipy.special import gammaincinv

    ratios, dropped = log_ratios(distances)
    count = int(np.floor(fraction * len(ratios)))
    require_points(count)
    lowest = np.sort(ratios)[:count]
    total = lowest.sum() + (len(ratios) - count) * lowest[-1]
    if total == 0:
        raise NoEstimate(f"r1 = r2 at the lowest {fraction:.0%} of the points")
    independent = shared * count
    if indices is not None:
        scores = np.zeros(len(distances))
        limited = np.minimum(ratios, lowest[-1])
        scores[is_usable(distances)] = (ratios <= lowest[-1]) - count / total * limited
        independent = count**2 / (count + max(0.0, sum_over_neighbors(scores, indices[:, :2])))
    low, high = gammaincinv(independent, TAILS) / independent * count / total
    return {
        **{"id": count / total, "low": low, "high": high, "n_dropped": dropped, "n_ties": (ratios == 0).sum()},
        **{"n_used": count, "n_independent": independent},
    }


def sum_over_neighbors(scores, indices):
    """Return the sum of scores[i] scores[j] over all pairs i, j in which one lists the other, in both orders."""
    n, k = indices.shape
    points, neighbors = np.repeat(np.arange(n), k), indices.ravel().astype(np.int64)
    low, high = np.minimum(points, neighbors), np.maximum(points, neighbors)
    low, high = np.divmod(np.unique((low * n + high)[low < high]), n)
    return 2 * (scores[low] @ scores[high])
