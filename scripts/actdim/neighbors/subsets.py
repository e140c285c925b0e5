"""Neighbor lists restricted to a subset of the points."""

import numpy as np


def first_two_within(distances, inside):
    """Return the distances (n, 2) float64 to the first two neighbors inside a subset; infinite where lists have none.

    distances: (n, k), ascending; inside: (n, k), whether each of these neighbors is in the subset.
    """
    rows, remaining = np.arange(len(inside)), inside.copy()
    first = remaining.argmax(axis=1)
    remaining[rows, first] = False
    second = remaining.argmax(axis=1)
    first_two = distances[rows[:, None], np.stack([first, second], axis=1)].astype(np.float64)
    first_two[~remaining[rows, second]] = np.inf
    return first_two
