"""Linear dimension: principal components of the activations themselves."""

import numpy as np

from actdim.estimators import spectrum
from actdim.estimators.ratios import NoEstimate
from actdim.storage.layer_reader import float_columns

SHARES = (0.90, 0.95, 0.99)  # of the variance
CHUNK_BYTES = 160_000_000  # points in memory at a time


def pca(points):
    """Return the participation ratio of the principal components, and what else their spectrum tells.

    points: (n, features), an array, an open HDF5 data set or a StoredLayer, of which some rows or columns are in memory
    at a time.
    With v the eigenvalues of the covariance, id = (sum v)^2 / sum v^2, the number of equal components that would vary
    as much (Gao et al. 2017). They are computed from the smaller of the covariance (features, features) and the Gram
    matrix (n, n), so that a wide layer takes n^2 memory, not features^2. There is no interval: low and high are None.
    components_90, _95 and _99 are the numbers of components that hold 90, 95 and 99 % of the variance. spectrum.py
    explains the other measures. One that is undefined is None, and `undefined` says why. `eigenvalues` are v, of
    divisor n - 1.
    Raises NoEstimate for fewer than two points, values that are not finite or too large for float32, or equal points;
    UserError where a StoredLayer is corrupt.
    """
    n = len(points)
    if n < 2:
        raise NoEstimate(f"only {n} points")
    with np.errstate(invalid="ignore", over="ignore"):
        products = gram_matrices(points) if n < points.shape[1] else scatter_matrices(points)
        finite = all(np.isfinite(np.float32(part)).all() for part in products[:2])
    if not finite:
        raise NoEstimate("points are not finite, or too large for float32")
    centered, uncentered, fourth_powers = products
    variances = eigenvalues(centered) / (n - 1)
    total = variances.sum()
    if total == 0:
        raise NoEstimate("all points are the same, or too near for float32")
    cumulative = np.cumsum(variances) / total
    counts = {f"components_{100 * share:.0f}": int(np.searchsorted(cumulative, share) + 1) for share in SHARES}
    values, undefined = {}, {}
    for measure, *data in (
        (spectrum.unbiased_participation_ratio, variances, n, fourth_powers),
        (spectrum.stable_rank, variances),
        (spectrum.rankme, np.sqrt(eigenvalues(uncentered))),
        (spectrum.alpha_req, without_rounding_errors(variances, centered)),
    ):
        try:
            values[measure.__name__] = measure(*data)
        except NoEstimate as reason:
            values[measure.__name__], undefined[measure.__name__] = None, str(reason)
    return {
        **{"id": spectrum.participation_ratio(variances), "low": None, "high": None, "n_dropped": 0},
        **counts,
        **values,
        "undefined": undefined,
        "eigenvalues": [float(f"{value:.6g}") for value in variances],
    }


def eigenvalues(matrix):
    """Return the eigenvalues of a matrix of products, in float64, from the largest; those below 0 as 0."""
    return np.maximum(np.linalg.eigvalsh(matrix)[::-1].astype(np.float64), 0)


def without_rounding_errors(variances, matrix):
    """Return the eigenvalues with those as 0 that the rounding errors of the matrix can make."""
    return np.where(variances > len(matrix) * np.finfo(matrix.dtype).eps * variances[0], variances, 0)


def gram_matrices(points):
    """Return products of points, (n, n) float32: about their mean, about 0; and the sum of |x - mean|^4."""
    n, features = points.shape
    width = max(1, CHUNK_BYTES // (4 * n))
    slices = [slice(left, min(left + width, features)) for left in range(0, features, width)]
    matrix, with_mean, square_of_mean = np.zeros((n, n), dtype=np.float32), np.zeros(n), 0.0
    for values in float_columns(points, slices):
        values = values.astype(np.float32, copy=False)
        mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        values -= mean
        matrix += values @ values.T
        with_mean += values @ mean
        square_of_mean += float(mean @ mean)
    fourth_powers = (np.diag(matrix).astype(np.float64) ** 2).sum()
    return matrix, matrix + (with_mean[:, None] + with_mean + square_of_mean).astype(np.float32), fourth_powers


def scatter_matrices(points):
    """Return products of features, (features, features) float64: about their mean, about 0; and sum |x - mean|^4."""
    n, features = points.shape
    height = max(1, CHUNK_BYTES // (8 * features))
    slices = [slice(top, top + height) for top in range(0, n, height)]
    origin = points[0].astype(np.float64)  # from which equal points differ by 0, without rounding
    mean = origin + sum((points[rows] - origin).sum(axis=0) for rows in slices) / n
    matrix, fourth_powers = np.zeros((features, features)), 0.0
    for rows in slices:
        centered = points[rows] - mean
        matrix += centered.T @ centered
        fourth_powers += ((centered**2).sum(axis=1) ** 2).sum()
    return matrix, matrix + n * np.outer(mean, mean), fourth_powers
