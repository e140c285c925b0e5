"""Nearest neighbors of every point: exact, or approximate with an audit; which is cheaper is decided by size."""

import time

import numpy as np

from actdim.arithmetic import U32
from actdim.exact import NotSearchable, measure, nearest, search

AUDITED = 500  # points
TARGET_RECALL = 0.99
EFFORTS = (1, 2, 4)  # factors on the neighbors, trees and iterations of pynndescent


def find(points, method, k, seed=0):
    """Return (indices, distances, report) of the k nearest neighbors of every row of `points`.

    points: (n, features), an array or a data set of an open HDF5 file, any float type. indices: (n, k) int32,
    distances: (n, k) float32, Euclidean, sorted, ties by index, the point itself left out; k is at most n - 1.
    The result does not depend on the number of threads.
    report: method; search, what gave the lists at last; recall of the first two neighbors; seconds; and notes on
    what was tried before. Points that have no neighbors (fewer than three, or a value that is not finite) give
    k = 0 and a reason.
    """
    begun = time.monotonic()
    n, k = len(points), min(k, len(points) - 1)
    try:
        if n < 3:
            raise NotSearchable(f"only {n} points")
        indices, distances, report = METHODS[method](points, k, seed)
    except NotSearchable as reason:
        empty = np.zeros((n, 0))
        indices, distances, report = empty.astype(np.int32), empty.astype(np.float32), {"reason": str(reason)}
    return indices, distances, {"method": method, **report, "seconds": time.monotonic() - begun}


def auto(points, k, seed):
    """The cheaper of the two other methods, by `seconds`."""
    return cheaper(*points.shape)(points, k, seed)


def cheaper(n, features):
    """Return exact or pynndescent, which takes less time on n points."""
    return min((pynndescent, exact), key=lambda method: seconds(method, n, features))


def exact(points, k, seed=0):
    """All neighbors by comparison with all points; seed is not used."""
    return *search(points, k), {"search": "exact", "recall": 1.0}


def pynndescent(points, k, seed):
    """Approximate neighbors by nearest neighbor descent (Dong et al. 2011), audited.

    Where fewer than 99 % of the true first two neighbors of a random sample were found, it searches harder, as long
    as that is cheaper than to search exactly; for missed neighbors bias the estimate of the intrinsic dimension.
    """
    if len(points) <= 2 * (k + 1):
        return *search(points, k), {"search": "exact", "recall": 1.0, "notes": "too few points to approximate"}
    points = np.ascontiguousarray(points, dtype=np.float64 if points.dtype == np.float64 else np.float32)
    sample = np.sort(np.random.default_rng(seed).choice(len(points), min(AUDITED, len(points)), replace=False))
    _, true = search(points, 2, sample)
    notes = []
    for effort in EFFORTS:
        if effort > 1 and seconds(pynndescent, *points.shape, effort) > seconds(exact, *points.shape):
            break
        indices, distances = descend(points, k, seed, effort)
        recall = audit(distances[sample], true)
        if recall >= TARGET_RECALL:
            return indices, distances, {"search": "pynndescent", "recall": recall, "notes": "; ".join(notes)}
        notes.append(f"recall {recall:.4f} at effort {effort}, below {TARGET_RECALL}")
    return *search(points, k), {"search": "exact", "recall": 1.0, "notes": "; ".join(notes)}


METHODS = {"auto": auto, "pynndescent": pynndescent, "exact": exact}


def seconds(method, n, features, effort=1):
    """Return about how long a job of a method takes on 2 cores, its imports included; by benchmarks/methods.py."""
    if method is exact:
        return 0.8 + n**2 * (7.4e-12 * features + 1.5e-9)
    return 2.7 + effort * n * (1.5e-7 * features + 4.3e-5)


def audit(distances, true):
    """Return the recall of the first two neighbors, by distance, for equally near points are equally good."""
    return float((distances[:, :2] <= true * (1 + 4 * U32)).mean())


def descend(points, k, seed, effort):
    """Return approximate (indices, distances) by pynndescent."""
    from actdim.compiled import THREADS, nn_descent_class

    n = len(points)
    centered = (points - points.mean(axis=0)).astype(np.float32)
    # The result depends on the number of threads, so it is fixed.
    graph = nn_descent_class()(
        centered,
        n_neighbors=min(effort * (k + 1), n - 1),
        n_trees=effort * max(3, min(12, round(2 * np.log10(n)))),  # at effort 1, pynndescent's own choice
        n_iters=effort * max(5, round(np.log2(n))),
        random_state=seed,
        n_jobs=THREADS,
    ).neighbor_graph[0]
    return tidy(points, graph, k)


def tidy(points, graph, k):
    """Return the k nearest (indices, distances) of pynndescent's lists, (n, width) indices.

    What is missing (-1), repeated or the point itself never stays; a row left with fewer than k neighbors is searched
    exactly.
    """
    own = np.arange(len(graph))
    graph = np.sort(graph, axis=1)
    unusable = (graph < 0) | (graph == own[:, None])
    unusable[:, 1:] |= graph[:, 1:] == graph[:, :-1]
    graph = np.where(unusable, own[:, None], graph).astype(np.int32)
    (squares,) = measure(points, [(own, graph)])
    indices, distances = nearest(own, graph, squares, k)
    poor = np.flatnonzero((~unusable).sum(axis=1) < k)
    if len(poor):
        indices[poor], distances[poor] = search(points, k, poor)
    return indices, distances
