"""Nearest neighbors of every point: exact, or approximate with an audit."""

import time

import numpy as np

EPSILON = np.float32(2.0**-24)  # unit roundoff of float32
BLOCK_BYTES = 128 * 2**20
AUDITED = 200
TARGET_RECALL = 0.99


def find(points, method, k, seed=0):
    """Return (indices, distances, report) of the k nearest neighbors of every row of `points`.

    points: (n, features), any float type. indices: (n, k) int32, distances: (n, k) float32, Euclidean, sorted,
    ties by index, the point itself left out; k is at most n - 1. The result does not depend on the number of
    threads. report: method, recall of the first two neighbors, seconds, and a note where the method was changed.
    Points that have no neighbors (fewer than three, or a value that is not finite) give k = 0 and a reason.
    """
    begun = time.monotonic()
    points = np.ascontiguousarray(points, dtype=np.float64 if points.dtype == np.float64 else np.float32)
    n, k = len(points), min(k, len(points) - 1)
    lost = int((~np.isfinite(points).all(axis=1)).sum())
    if n < 3 or lost:
        reason = f"{lost} of {n} points are not finite" if lost else f"only {n} points"
        empty = np.zeros((n, 0))
        return empty.astype(np.int32), empty.astype(np.float32), {"method": method, "reason": reason}
    indices, distances, report = METHODS[method](points, k, seed)
    return indices, distances, {"method": method, **report, "seconds": time.monotonic() - begun}


def exact(points, k, seed=0):
    """All neighbors by comparison with all points; seed is not used."""
    return *search(points, k), {"recall": 1.0}


def pynndescent(points, k, seed):
    """Approximate neighbors by nearest neighbor descent (Dong et al. 2011), audited.

    A random sample of points is searched exactly too. Where fewer than 99 % of its true first two neighbors were
    found, all points are, for missed neighbors bias the estimate of the intrinsic dimension.
    """
    if len(points) <= 2 * (k + 1):
        return *search(points, k), {"recall": 1.0, "note": "too few points to approximate: searched exactly"}
    from actdim.compiled import nn_descent_class

    # The threads are fixed, for the result depends on their number.
    centered = (points - points.mean(axis=0)).astype(np.float32)
    index = nn_descent_class()(centered, n_neighbors=k + 1, random_state=seed, n_jobs=1)
    indices, distances = tidy(points, index.neighbor_graph[0], k)
    sample = np.sort(np.random.default_rng(seed).choice(len(points), min(AUDITED, len(points)), replace=False))
    _, true = search(points, 2, sample)
    # By distance, for equally near points are equally good.
    recall = float((distances[sample, :2] <= true * (1 + 4 * EPSILON)).mean())
    if recall < TARGET_RECALL:
        note = f"recall {recall:.3f} of pynndescent is below {TARGET_RECALL}: searched exactly"
        return *search(points, k), {"recall": 1.0, "note": note}
    return indices, distances, {"recall": recall}


METHODS = {"pynndescent": pynndescent, "exact": exact}


def search(points, k, rows=None):
    """Return the exact k nearest neighbors (indices, distances) of the points in `rows` (None: all).

    A float32 matrix product picks candidates, differences measure them. A row counts as proven when its k-th
    neighbor is nearer than any point left out can be, given the product's rounding error; for other rows all
    points are measured by differences.
    """
    n, features = points.shape
    rows = np.arange(n) if rows is None else rows
    centered = (points - points.mean(axis=0, dtype=np.float64).astype(points.dtype)).astype(np.float32)
    norms = np.einsum("ij,ij->i", centered, centered, dtype=np.float64).astype(np.float32)
    candidates = min(n - 1, k + 16)
    indices = np.empty((len(rows), k), dtype=np.int32)
    distances = np.empty((len(rows), k), dtype=np.float32)
    step = max(1, BLOCK_BYTES // (4 * n))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        own = rows[block]
        squares = norms[own, None] + norms[None, :] - 2 * (centered[own] @ centered.T)
        squares[np.arange(len(own)), own] = np.inf
        near = np.argpartition(squares, candidates - 1, axis=1)[:, :candidates].astype(np.int32)
        bar = np.take_along_axis(squares, near, axis=1).max(axis=1)
        indices[block], distances[block] = measure(points, own, near, k)
        # |rounding error of a square| <= (features + 16) u (|x| + |y|)^2, Higham 2002, section 3.1.
        error = (features + 16) * EPSILON * (np.sqrt(norms[own]) + np.sqrt(norms.max())) ** 2
        proven = (candidates == n - 1) | (distances[block][:, -1] ** 2 < bar - error)
        for row in np.flatnonzero(~proven):
            others = np.delete(np.arange(n, dtype=np.int32), own[row])[None]
            found = measure(points, own[row : row + 1], others, k)
            indices[start + row], distances[start + row] = found[0][0], found[1][0]
    return indices, distances


def measure(points, rows, candidates, k):
    """Return the k nearest of each row's candidates (indices, distances), sorted by distance, then index.

    rows: (m,), candidates: (m, c). Distances come from differences, not from norms and products, in which those
    of near points cancel.
    """
    squares = np.empty(candidates.shape, dtype=np.float64)
    columns = max(1, BLOCK_BYTES // (4 * points.shape[1] * len(rows)))
    height = max(1, BLOCK_BYTES // (4 * points.shape[1] * columns))
    for top in range(0, len(rows), height):
        for left in range(0, candidates.shape[1], columns):
            part = np.s_[top : top + height, left : left + columns]
            difference = points[candidates[part]] - points[rows[top : top + height], None]
            squares[part] = np.einsum("ijk,ijk->ij", difference, difference)
    distances = np.sqrt(squares).astype(np.float32)
    order = np.lexsort((candidates, distances))[:, :k]
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)


def tidy(points, graph, k):
    """Return pynndescent's lists (indices, distances) without the point itself, missing or repeated neighbors.

    graph: (n, k + 1) indices. A row that is left with fewer than k neighbors is searched exactly.
    """
    graph = np.sort(graph, axis=1)
    usable = (graph >= 0) & (graph != np.arange(len(graph))[:, None])
    usable[:, 1:] &= graph[:, 1:] != graph[:, :-1]
    indices = np.empty((len(graph), k), dtype=np.int32)
    distances = np.empty((len(graph), k), dtype=np.float32)
    for count in np.unique(usable.sum(axis=1)):
        rows = np.flatnonzero(usable.sum(axis=1) == count)
        if count < k:
            indices[rows], distances[rows] = search(points, k, rows)
        else:
            candidates = graph[rows][usable[rows]].reshape(len(rows), count)
            indices[rows], distances[rows] = measure(points, rows, candidates, k)
    return indices, distances
