"""Neighbors within random subsets of the points, from the lists of all points: the ID at larger scales.

Facco et al. (2017) suggest it: fewer points lie farther apart, so that an ID that changes with their number depends on
the scale.
"""

import contextlib

import numpy as np

from actdim.neighbors.exact import NotSearchable, exact_neighbors
from actdim.neighbors.subsets import first_two_within

DIVISORS = (2, 4, 8)  # a half, a quarter and an eighth of the points


def decimate(points, indices, distances, seed=0):
    """Return {divisor: distances (n // divisor, 2) float32 to the first two neighbors} within random subsets.

    points: (n, features), see search.find_neighbors; indices, distances: (n, k), their neighbor lists; seed: of the
    subsets, of which the larger contain the smaller.
    A point whose list has fewer than two members of the subset is searched exactly. Distances are infinite where no two
    points of a subset differ. The result is empty for lists of fewer than two neighbors.
    """
    n = len(indices)
    if distances.shape[1] < 2:
        return {}
    order = np.random.default_rng(seed).permutation(n)
    decimated = {}
    for divisor in DIVISORS:
        subset = np.sort(order[: n // divisor])
        in_subset = np.zeros(n, dtype=bool)
        in_subset[subset] = True
        first_two = first_two_within(distances[subset], in_subset[indices[subset]]).astype(np.float32)
        missing = np.flatnonzero(np.isinf(first_two[:, 1]))
        if len(subset) >= 3 and len(missing):
            with contextlib.suppress(NotSearchable):  # the points differ, but those of the subset may be the same
                _, first_two[missing] = exact_neighbors(points[subset], 2, missing)
        decimated[divisor] = first_two
    return decimated
