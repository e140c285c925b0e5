"""Neighbors within a random subset of the points, from the lists of all points."""

import contextlib

import numpy as np

from actdim.neighbors.exact import NotSearchable, search

PARTS = (2, 4, 8)  # a half, a quarter, an eighth of the points


def first_two(distances, inside):
    """Return (n, 2) distances to the first two neighbors that are `inside`; infinite where the list has none.

    distances, inside: (n, k).
    """
    rows, left = np.arange(len(inside)), inside.copy()
    first = left.argmax(axis=1)
    left[rows, first] = False
    second = left.argmax(axis=1)
    found = distances[rows[:, None], np.stack([first, second], axis=1)].astype(np.float64)
    found[~left[rows, second]] = np.inf
    return found


def decimate(points, indices, distances, seed=0):
    """Return {part: (n // part, 2) distances to the first two neighbors} in random subsets of the points.

    The larger subsets hold the smaller. Where a list does not reach the second neighbor, it is searched exactly.
    Points that have no lists of two give none. Infinite is what is not found in a subset of which no two points differ.
    """
    n = len(indices)
    if distances.shape[1] < 2:
        return {}
    order = np.random.default_rng(seed).permutation(n)
    decimated = {}
    for part in PARTS:
        kept = np.sort(order[: n // part])
        inside = np.zeros(n, dtype=bool)
        inside[kept] = True
        found = first_two(distances[kept], inside[indices[kept]]).astype(np.float32)
        short = np.isinf(found[:, 1])
        if len(kept) >= 3 and short.any():
            with contextlib.suppress(NotSearchable):  # of points of which some differ, those kept may be the same
                found[short] = search(points[kept], 2, np.flatnonzero(short))[1]
        decimated[part] = found
    return decimated
