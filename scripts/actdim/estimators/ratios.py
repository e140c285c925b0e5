"""What the estimators share: when there is no estimate, the level of intervals, and the ratios of distances."""

import numpy as np

MIN_POINTS = 10  # usable ones that an estimate needs
MAX_TIES = 0.01  # of the points, at which the first two neighbors are equally far
LEVEL = 0.95  # of intervals
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class NoEstimate(Exception):
    """The data allow no estimate; the text is the reason, which tables show."""


def require_points(count):
    """Raise NoEstimate where fewer than MIN_POINTS points are usable."""
    if count < MIN_POINTS:
        raise NoEstimate(f"{count} usable points, fewer than {MIN_POINTS}")


def require_continuous(distances):
    """Raise NoEstimate where the first two neighbors are equally far at more points than in continuous data.

    distances: (n, k). In continuous data mu = r2 / r1 follows a Pareto law with exponent d (Facco et al. 2017, eq. 2),
    by which a tie in float32, mu < 1 + 2^-23, happens at d 2^-23 of the points: 1 in 84,000 for d = 100. Among integers
    and rounded values ties are far more frequent than MAX_TIES. A single tie is no evidence.
    """
    if distances.shape[1] < 2:
        raise NoEstimate("fewer than two neighbors a point")
    r1, r2 = distances[:, 0], distances[:, 1]
    ties = np.count_nonzero((r1 == r2) & (r1 > 0) & np.isfinite(r1))
    if ties > max(1, MAX_TIES * len(r1)):
        raise NoEstimate(f"r1 = r2 at {ties} of {len(r1)} points: the data are discrete")


def log_ratios(distances, n1=1):
    """Return (log mu of the usable points, number of points dropped), where mu = r2 / r1.

    distances: (n, k), ascending; r1 and r2 are the distances to the neighbors n1 and 2 n1. Points with r1 = 0, which
    are duplicates, are dropped.
    Raises NoEstimate for lists that are too short or too few usable points.
    """
    if distances.shape[1] < 2 * n1:
        raise NoEstimate("fewer than two neighbors a point")
    r1, r2 = distances[:, n1 - 1].astype(np.float64), distances[:, 2 * n1 - 1].astype(np.float64)
    usable = is_usable(distances, n1)
    ratios = np.log(r2[usable] / r1[usable])
    require_points(len(ratios))
    return ratios, int((~usable).sum())


def is_usable(distances, n1=1):
    """Return which points log_ratios uses, (n,)."""
    return (distances[:, n1 - 1] > 0) & np.isfinite(distances[:, 2 * n1 - 1])


def estimates_on_subsets(decimated, estimator):
    """Return the estimates on random subsets of the points, [{points, id, low, high}], None where there is none.

    Fewer points lie farther apart, so that these are the ID at larger scales.
    decimated: {divisor: distances (n // divisor, 2)}; estimator: a function of such distances that returns id, low and
    high, or raises NoEstimate.
    """
    estimates = []
    for distances in decimated.values():
        try:
            estimate = estimator(distances)
        except NoEstimate:
            estimate = dict.fromkeys(("id", "low", "high"))
        estimates.append({"points": len(distances), **{key: estimate[key] for key in ("id", "low", "high")}})
    return estimates
