"""Linear dimension: principal components of the activations themselves."""

import numpy as np

from actdim.estimators.result import NoEstimate
from actdim.storage.layer_reader import float_columns

SHARES = (0.90, 0.95, 0.99)  # of the variance
CHUNK_BYTES = 160_000_000  # points in memory at a time, as float32


def pca(points):
    """Return the participation ratio of the principal components, and how many hold 90, 95 and 99 % of the variance.

    points: (n, features), an array, an open HDF5 data set or a StoredLayer, of which some rows or columns are in memory
    at a time.
    With v the eigenvalues of the covariance, id = (sum v)^2 / sum v^2, the number of equal components that would vary
    as much (Gao et al. 2017). They are computed from the smaller of the covariance (features, features) and the Gram
    matrix (n, n), so that a wide layer takes n^2 memory, not features^2. There is no interval: low and high are None.
    Raises NoEstimate for fewer than two points, values that are not finite or too large for float32, or equal points;
    UserError where a StoredLayer is corrupt.
    """
    if len(points) < 2:
        raise NoEstimate(f"only {len(points)} points")
    with np.errstate(invalid="ignore", over="ignore"):
        matrix = gram_matrix(points) if points.shape[0] < points.shape[1] else scatter_matrix(points)
    if not np.isfinite(matrix).all():
        raise NoEstimate("points are not finite, or too large for float32")
    variances = np.maximum(np.linalg.eigvalsh(matrix)[::-1].astype(np.float64), 0)
    total = variances.sum()
    if total == 0:
        raise NoEstimate("all points are the same, or too near for float32")
    cumulative = np.cumsum(variances) / total
    counts = {f"components_{100 * share:.0f}": int(np.searchsorted(cumulative, share) + 1) for share in SHARES}
    return {"id": total**2 / (variances**2).sum(), "low": None, "high": None, "n_dropped": 0, **counts}


def gram_matrix(points):
    """Return the products of centered points, (n, n) float32."""
    n, features = points.shape
    width = max(1, CHUNK_BYTES // (4 * n))
    slices = [slice(left, min(left + width, features)) for left in range(0, features, width)]
    matrix = np.zeros((n, n), dtype=np.float32)
    for values in float_columns(points, slices):
        values = values.astype(np.float32, copy=False)
        values -= values.mean(axis=0, dtype=np.float64).astype(np.float32)
        matrix += values @ values.T
    return matrix


def scatter_matrix(points):
    """Return the products of centered features, (features, features) float32."""
    n, features = points.shape
    height = max(1, CHUNK_BYTES // (4 * features))
    slices = [slice(top, top + height) for top in range(0, n, height)]
    origin = points[0].astype(np.float64)  # from which equal points differ by 0, without rounding
    mean = origin + sum((points[rows] - origin).sum(axis=0) for rows in slices) / n
    matrix = np.zeros((features, features), dtype=np.float32)
    for rows in slices:
        centered = (points[rows] - mean).astype(np.float32)
        matrix += centered.T @ centered
    return matrix
