"""Estimators of the intrinsic dimension (ID), a module each; the table is in registry.py.

An estimator is a function of the neighbor lists of a layer (hdf5.Lists: distances, indices, decimated) and of its own
keyword settings. It returns a dict: id, low and high (the 95 % interval of its law, which takes points as
independent), n_dropped, and what else it knows, numbers or lists; or raises NoEstimate with the reason.
"""

import numpy as np

FEWEST = 10  # usable points
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class NoEstimate(Exception):
    """The data allow no estimate; the text is the reason that the tables show."""


def require(count):
    """Raise NoEstimate where too few usable points are left."""
    if count < FEWEST:
        raise NoEstimate(f"{count} usable points, fewer than {FEWEST}")


def log_ratios(distances, n1=1):
    """Return (log mu of the points with r1 > 0, the number of the others), mu = r2 / r1, from distances (n, k).

    r1 and r2 are the distances to the neighbors n1 and 2 n1. Raises NoEstimate where they are equal at most points: mu
    then says nothing of a dimension.
    """
    if distances.shape[1] < 2 * n1:
        raise NoEstimate("fewer than two neighbors a point")
    r1, r2 = distances[:, n1 - 1].astype(np.float64), distances[:, 2 * n1 - 1].astype(np.float64)
    usable = (r1 > 0) & np.isfinite(r2)
    ratios = np.log(r2[usable] / r1[usable])
    require(len(ratios))
    ties = np.mean(ratios == 0)
    if ties > 0.5:
        raise NoEstimate(f"r{n1} = r{2 * n1} at {100 * ties:.0f} % of the points: the data are discrete")
    return ratios, int((~usable).sum())


def decimated_too(decimated, estimate):
    """Return the estimates on fewer points, [{points, id, low, high}]: fewer lie farther apart, at a larger scale.

    decimated: {part: distances (n // part, 2)}; estimate: a function of such distances.
    """
    estimates = []
    for distances in decimated.values():
        try:
            found = estimate(distances)
        except NoEstimate:
            found = dict.fromkeys(("id", "low", "high"))
        estimates.append({"points": len(distances), **{key: found[key] for key in ("id", "low", "high")}})
    return estimates
