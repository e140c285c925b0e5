"""The audit of an approximate search: its recall, the share of the true neighbors that it found."""

import numpy as np

from actdim.neighbors.exact import exact_neighbors
from actdim.neighbors.matmul import U32

AUDITED = 500  # points


def true_neighbors(points, k, seed):
    """Return (sample, distances): some points at random, sorted indices (m,), and their k nearest, (m, k) float32.

    Raises NotSearchable where the points (n, features) have no neighbors; see exact.py.
    """
    n = len(points)
    sample = np.sort(np.random.default_rng(seed).choice(n, min(AUDITED, n), replace=False))
    _, distances = exact_neighbors(points, k, sample)
    return sample, distances


def recall_of_first_two(distances, true_distances):
    """Return the recall of the first two neighbors, each in its place.

    distances, true_distances: (m, 2 or more), those found and the true ones.

    Neighbors are compared by distance, because equally near ones are equally good.
    """
    return float((distances[:, :2] <= true_distances[:, :2] * (1 + 4 * U32)).mean())


def recall_of_all(distances, true_distances):
    """Return the recall of k neighbors in any order: the share of distances (m, k) not beyond the true k-th."""
    return float((distances <= true_distances[:, -1:] * (1 + 4 * U32)).mean())
