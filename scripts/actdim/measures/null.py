"""The null of an ID: the estimate for Gaussian points with the number and the spectrum of the points.

Gaussian points have no structure but their covariance, so their ID follows from the spectrum alone. An ID below its
null tells of curvature or of clusters that principal components do not see: points on a sphere in three dimensions
have an ID of 2, and a null of 3.
"""

import numpy as np

DRAWN_POINTS, MOST_DRAWS = 20_000, 10  # about how many points all draws have together; the largest number of draws


def estimate_null(eigenvalues, n, estimate, seed=0):
    """Return {id_null, draws, and a reason where there is none}: the mean ID of draws of n Gaussian points.

    eigenvalues: of the points' covariance; estimate: a function of points (n, features) that returns a dict with `id`,
    None with a `reason`.
    """
    rng, ids = np.random.default_rng(seed), []
    for _ in range(min(MOST_DRAWS, max(1, DRAWN_POINTS // n))):
        drawn = estimate(gaussian_points(eigenvalues, n, rng))
        if drawn["id"] is None:
            return {"id_null": None, "draws": 0, "reason": drawn["reason"]}
        ids.append(drawn["id"])
    return {"id_null": float(np.mean(ids)), "draws": len(ids)}


def gaussian_points(eigenvalues, n, rng):
    """Return Gaussian points (n, number of eigenvalues above 0) float32, whose covariance has these eigenvalues."""
    deviations = np.sqrt([value for value in eigenvalues if value > 0]).astype(np.float32)
    return rng.standard_normal((n, len(deviations)), dtype=np.float32) * deviations
