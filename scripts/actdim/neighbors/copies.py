"""Neighbors among distinct points: exact copies of a point are counted, and left out of the search.

Estimators take the points as a sample of a continuous distribution, in which no two are the same. A copy has the
distance 0 to its original, and two points whose nearest neighbors are a pair of copies have r1 = r2; both move the
estimate. So of equal points only the first is kept, as a query and as a reference.
"""

import numpy as np

from actdim.neighbors.search import find_neighbors


def find_distinct_neighbors(points, method, k, seed=0):
    """Return (rows, points, indices, distances, report) of the k nearest neighbors among the distinct points.

    points, method, k, seed: as in search.find_neighbors. rows: (m,) int64, the distinct points, each the first of its
    copies; points: those, (m, features), the same object as before where there are no copies. indices and distances:
    (m, k), see find_neighbors; indices count the distinct points. report: that of the search, with `n_copies`, the
    number of points left out. Points whose distance is 0 in float32 count as copies.
    """
    n, rows = len(points), np.arange(len(points))
    while True:
        indices, distances, report = find_neighbors(points, method, k, seed)
        distinct = first_of_copies(indices, distances)
        if distinct.all():
            return rows, points, indices, distances, report | {"n_copies": n - len(rows)}
        rows, points = rows[distinct], points[np.flatnonzero(distinct)]  # an approximate search may have missed some


def first_of_copies(indices, distances):
    """Return (n,) bool: whether no point listed at distance 0 comes before a point.

    indices, distances: (n, k), ascending by distance, ties by index.
    """
    if not distances.shape[1]:
        return np.ones(len(distances), dtype=bool)
    return (distances[:, 0] > 0) | (indices[:, 0] > np.arange(len(indices)))
