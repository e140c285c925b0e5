"""Neighbor lists that another library made: brought to the form of ours, or refused.

Most libraries list the point itself first, some do not sort, and some give squared distances.
"""

import numpy as np

from actdim.errors import UserError
from actdim.storage.neighbor_lists import NeighborLists

CHECKED = 1000  # points in the test for squared distances
BEYOND = 1e-3  # by which rounding may make one side of a triangle longer than the two others


def usual_lists(lists, report, path):
    """Return (NeighborLists, report) as find_neighbors.py would have written them, with `n_copies` in the report.

    Lists are sorted; the point itself, copies of a point, as queries and as neighbors, and neighbors that a list has
    already are left out. Raises UserError that names the file where indices are out of range, distances are negative or
    not finite, seem to be squared, or fewer than two neighbors are left.
    """
    indices, distances = lists.indices, lists.distances
    n, k = distances.shape
    if not np.issubdtype(indices.dtype, np.integer) or (indices < 0).any() or (indices >= n).any():
        raise UserError(f"{path}: /indices should be integers from 0 to {n - 1}, the rows of the points")
    if not (np.isfinite(distances) & (distances >= 0)).all():
        raise UserError(f"{path}: /distances should be finite and 0 or more")
    order = np.lexsort((indices, distances), axis=1)
    indices, distances = np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)
    if violates_triangles(indices, distances):
        raise UserError(f"{path}: /distances break the triangle inequality; are they squared? Write their square roots")
    itself = indices == np.arange(n)[:, None]
    copy = (distances == 0) & ~itself
    original = ~(copy & (indices < np.arange(n)[:, None])).any(axis=1)  # the first of its copies
    usable = ~itself & ~copy & ~repeats(indices) & original[indices]
    width = usable[original].sum(axis=1).min(initial=k)
    if width < 2:
        raise UserError(f"{path}: fewer than two neighbors of some point, without itself and copies; search for more")
    first = np.argsort(~usable[original], axis=1, kind="stable")[:, :width]
    place = np.cumsum(original) - 1  # of each original among the originals
    kept = place[np.take_along_axis(indices[original], first, axis=1)].astype(np.int32)
    near = np.take_along_axis(distances[original], first, axis=1)
    same = bool(original.all()) and not itself.any()
    decimated = lists.decimated if same else {}  # they count other points
    return NeighborLists(near, kept, decimated), {**report, "n_copies": int(n - original.sum())}


def repeats(indices):
    """Return (n, k) bool: whether the same neighbor stands before a neighbor in its list."""
    order = np.argsort(indices, axis=1, kind="stable")
    ordered = np.take_along_axis(indices, order, axis=1)
    repeated = np.zeros(indices.shape, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return repeated


def violates_triangles(indices, distances):
    """Tell whether distances, sorted, break |xz| <= |xy| + |yz| for a point x, a neighbor y and one z of both lists."""
    for x in range(min(CHECKED, len(indices))):
        listed = dict(zip(indices[x].tolist(), distances[x].tolist(), strict=True))
        y, to_y = next(((y, far) for y, far in listed.items() if y != x and far > 0), (None, None))
        if y is None:
            continue
        for z, from_y in zip(indices[y].tolist(), distances[y].tolist(), strict=True):
            if z in listed and listed[z] > (to_y + from_y) * (1 + BEYOND):
                return True
    return False
