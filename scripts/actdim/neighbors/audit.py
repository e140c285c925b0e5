"""The audit of an approximate search: its recall, the share of the true first two neighbors that it found."""

import numpy as np

from actdim.neighbors.exact import exact_neighbors
from actdim.neighbors.matmul import U32

AUDITED = 500  # points


def true_first_two(points, seed):
    """Return (sample, distances): some points at random, sorted indices (m,), and their true first two, (m, 2) float32.

    Raises NotSearchable where the points (n, features) have no neighbors; see exact.py.
    """
    n = len(points)
    sample = np.sort(np.random.default_rng(seed).choice(n, min(AUDITED, n), replace=False))
    _, distances = exact_neighbors(points, 2, sample)
    return sample, distances


def recall_of_first_two(distances, true_distances):
    """Return the recall of the first two neighbors from the distances (m, 2) found and the true ones.

    Neighbors are compared by distance, because equally near ones are equally good.
    """
    return float((distances <= true_distances * (1 + 4 * U32)).mean())
