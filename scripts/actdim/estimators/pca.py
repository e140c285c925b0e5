"""Linear dimension: principal components of the activations themselves."""

import numpy as np

from actdim.estimators.result import NoEstimate

SHARES = (0.90, 0.95, 0.99)  # of the variance


CHUNK_BYTES = 160_000_000


def pca(points):
    """Participation ratio of the principal components, and how many hold 90, 95, 99 % of the variance.

    points: (n, features), an array or a data set of an open HDF5 file, of which a few columns are read at a time.
    With the eigenvalues v of the covariance, id = (sum v)^2 / sum v^2 (Gao et al. 2017), the number of equal
    components that vary as much. They are those of the smaller of the covariance (features, features) and the Gram
    matrix (n, n), so that wide layers cost n^2 memory, not features^2. There is no interval.
    """
    if len(points) < 2:
        raise NoEstimate(f"only {len(points)} points")
    with np.errstate(invalid="ignore", over="ignore"):
        matrix = gram(points) if points.shape[0] < points.shape[1] else covariance(points)
    if not np.isfinite(matrix).all():
        raise NoEstimate("points are not finite, or too large for float32")
    variances = np.maximum(np.linalg.eigvalsh(matrix)[::-1].astype(np.float64), 0)
    total = variances.sum()
    if total == 0:
        raise NoEstimate("all points are the same, or too near for float32")
    held = np.cumsum(variances) / total
    counts = {f"components_{100 * share:.0f}": int(np.searchsorted(held, share) + 1) for share in SHARES}
    return {"id": total**2 / (variances**2).sum(), "low": None, "high": None, "n_dropped": 0, **counts}


def gram(points):
    """Return the products of centered points, (n, n) float32, summed over chunks of columns."""
    n, features = points.shape
    width = max(1, CHUNK_BYTES // (4 * n))
    matrix = np.zeros((n, n), dtype=np.float32)
    for left in range(0, features, width):
        part = points[:, left : left + width].astype(np.float32)
        part -= part.mean(axis=0, dtype=np.float64).astype(np.float32)
        matrix += part @ part.T
    return matrix


def covariance(points):
    """Return the scatter matrix (features, features) float32, summed over chunks of points."""
    n, features = points.shape
    height = max(1, CHUNK_BYTES // (4 * features))
    rows = [slice(top, top + height) for top in range(0, n, height)]
    origin = points[0].astype(np.float64)  # from which equal points differ by 0, without rounding
    mean = origin + sum((points[part] - origin).sum(axis=0) for part in rows) / n
    matrix = np.zeros((features, features), dtype=np.float32)
    for part in rows:
        centered = (points[part] - mean).astype(np.float32)
        matrix += centered.T @ centered
    return matrix
