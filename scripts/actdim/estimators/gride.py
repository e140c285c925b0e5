"""GRIDE: the ID as a function of scale."""

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import ndtri

from actdim.estimators.ratios import TAILS, NoEstimate, log_ratios, require_continuous, require_points

LOWEST, HIGHEST = 1e-3, 1e4  # dimensions between which the estimate is looked for


def gride(lists, *, n1: Annotated[int, Field(ge=1, description="compares neighbors n1 and 2 n1")] = 2):
    """GRIDE (Denti et al. 2022): TwoNN with the neighbors n1 and n2 = 2 n1 in place of the first and second.

    `scales` holds the estimate at n1 = 1, 2, 4, ... as far as the lists reach, each with its 95 % interval and the
    mean distance of the n2-th neighbor, the scale; id, low and high are those at the setting n1. n1 = 1 is TwoNN by
    maximum likelihood. Noise raises the ID at small scales, curvature changes it at large ones: an ID can be trusted
    where it does not depend on the scale.
    Raises NoEstimate where the lists are too short, the data are discrete, or too few points are usable at n1.
    """
    k = lists.distances.shape[1]
    if k < 2 * n1:
        raise NoEstimate(f"lists of {k} neighbors, fewer than 2 n1 = {2 * n1}")
    require_continuous(lists.distances)
    powers_of_two = 2 ** np.arange(int(np.log2(k)))
    scales = {int(first): estimate_at_scale(lists.distances, int(first)) for first in sorted({*powers_of_two, n1})}
    if "reason" in scales[n1]:
        raise NoEstimate(scales[n1]["reason"])
    chosen = {key: scales[n1][key] for key in ("id", "low", "high", "n_dropped")}
    return {**chosen, "scales": [{"n1": first, "n2": 2 * first, **scale} for first, scale in scales.items()]}


def estimate_at_scale(distances, n1):
    """Return the estimate from the neighbors n1 and 2 n1, or the reason why there is none; distances: (n, k)."""
    scale = {"distance": distances[:, 2 * n1 - 1].mean(dtype=np.float64), "n_dropped": None}
    try:
        ratios, dropped = log_ratios(distances, n1)
        untied = ratios[ratios > 0] if n1 > 1 else ratios  # for n1 > 1, a ratio of 1 has no likelihood
        estimate, error = maximize_likelihood(untied, n1)
    except NoEstimate as reason:
        return {**scale, "id": None, "low": None, "high": None, "reason": str(reason)}
    half_width = -ndtri(TAILS[0]) * error
    dropped += len(ratios) - len(untied)
    return {**scale, "n_dropped": dropped, "id": estimate, "low": estimate - half_width, "high": estimate + half_width}


def maximize_likelihood(ratios, n1):
    """Return (d, standard error) at the maximum of the likelihood, given log mu = log(r_2n1 / r_n1) of N points.

    The likelihood is d^N prod (mu^d - 1)^(n1 - 1) mu^(-(2 n1 - 1) d - 1) up to a factor (Denti et al. 2022, eq. 5);
    its logarithm is concave in d, so the score has one root. The error is that of the observed information, for
    independent points.
    """
    require_points(len(ratios))
    if ratios.mean() * HIGHEST <= 1:
        raise NoEstimate(f"r{n1} = r{2 * n1} at nearly all points: the data are discrete")

    def score(d):
        return (
            1 / d - (2 * n1 - 1) * ratios.mean() - ((n1 - 1) * np.mean(ratios / np.expm1(-d * ratios)) if n1 > 1 else 0)
        )

    d = brentq(score, LOWEST, HIGHEST, xtol=1e-12, rtol=1e-12)
    with np.errstate(over="ignore"):  # for ratios far above most others, where the term is 0
        curvature = (n1 - 1) * np.mean((ratios / (2 * np.sinh(d * ratios / 2))) ** 2) if n1 > 1 else 0
    return d, 1 / np.sqrt(len(ratios) * (1 / d**2 + curvature))
