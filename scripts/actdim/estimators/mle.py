"""Levina and Bickel's maximum likelihood, over more neighbors than two."""

from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import gammaincinv

from actdim.estimators.ratios import TAILS, NoEstimate, require_continuous, require_points


def mle(lists, *, k: Annotated[int, Field(ge=2, description="neighbors of each point")] = 20):
    """Levina and Bickel (2004) from the first k neighbors, averaged as MacKay and Ghahramani (2005) correct it.

    At each point, 1 / d is the mean over j < k of log(T_k / T_j), where T_j is the distance to its j-th neighbor. The
    likelihood of all points has its maximum at the mean of 1 / d over them, not at that of d. The sum of all logarithms
    is Gamma(n (k - 1), d) for independent points; but neighborhoods share points, the more the larger k, so that the
    interval is too narrow. Points with T_1 = 0, which are duplicates, are dropped.
    Raises NoEstimate where the lists are too short, the data are discrete, or too few points are usable.
    """
    distances = lists.distances[:, :k].astype(np.float64)
    if distances.shape[1] < k:
        raise NoEstimate(f"lists of {distances.shape[1]} neighbors, fewer than k = {k}")
    require_continuous(distances)
    usable = distances[:, 0] > 0
    require_points(usable.sum())
    logarithms = np.log(distances[usable, -1:] / distances[usable, :-1])
    total = logarithms.sum()
    low, high = gammaincinv(logarithms.size, TAILS) / total
    return {"id": logarithms.size / total, "low": low, "high": high, "n_dropped": (~usable).sum()}
