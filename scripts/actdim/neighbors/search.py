"""Nearest neighbors of every point: exact, or approximate with an audit; which is cheaper is decided by size."""

import time

import numpy as np

from actdim.neighbors.approximate import descend
from actdim.neighbors.audit import audit
from actdim.neighbors.exact import NotSearchable, search

AUDITED = 500  # points


TARGET_RECALL = 0.99


EFFORTS = (1, 2, 4)  # factors on the neighbors, trees and iterations of pynndescent


def find_neighbors(points, method, k, seed=0):
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
