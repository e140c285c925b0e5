"""Levina and Bickel's maximum likelihood, over more neighbors than two."""

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import gammaincinv

from actdim.estimators.result import TAILS, NoEstimate, require, require_continuous


def mle(lists, *, k: Annotated[int, Field(ge=2, description="neighbors of each point")] = 20):
    """Levina and Bickel (2004) from the first k neighbors, averaged as MacKay and Ghahramani (2005) correct it.

    At each point, 1 / d = mean over j < k of log(T_k / T_j), T_j the distance to its j-th neighbor; the mean of 1 / d
    over points, not of d, is the likelihood's. The sum of all logarithms is Gamma(n (k - 1), d) for independent
    points; neighborhoods share theirs, the more the larger k, so the interval is too narrow. Points with T_1 = 0
    (duplicates) are dropped.
    """
    distances = lists.distances[:, :k].astype(np.float64)
    if distances.shape[1] < k:
        raise NoEstimate(f"lists of {distances.shape[1]} neighbors, fewer than k = {k}")
    require_continuous(distances)
    usable = distances[:, 0] > 0
    require(usable.sum())
    logarithms = np.log(distances[usable, -1:] / distances[usable, :-1])
    total = logarithms.sum()
    low, high = gammaincinv(logarithms.size, TAILS) / total
    return {"id": logarithms.size / total, "low": low, "high": high, "n_dropped": (~usable).sum()}
