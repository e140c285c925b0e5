"""Nearest neighbors of every point: the methods by name, and which of them is expected to take the least time."""

import time

import numpy as np

from actdim.neighbors.approximate import audited_descent
from actdim.neighbors.exact import NotSearchable, exact_neighbors
from actdim.neighbors.sketch import sketch_neighbors

EFFORTS = (1, 2, 4)  # of nearest neighbor descent, as long as they are expected to take less time than an exact search


def find_neighbors(points, method, k, seed=0):
    """Return (indices, distances, report) of the k nearest neighbors of every point.

    points: (n, features) of any float type, an array, an open HDF5 data set or a StoredLayer; method: a key of METHODS;
    k: at most n - 1 are found; seed: of the random numbers of approximate methods.
    indices: (n, k) int32; distances: (n, k) float32, Euclidean, ascending, ties by index, the point itself left out.
    report: the `method`; `search`, the method finally used; `recall` of the first two neighbors and
    `recall_k` of all k; `seconds`; `notes` on
    what was tried before. Points without neighbors (fewer than three, a value that is not finite, ...) give k = 0 and
    the `reason` instead. The number of threads changes nothing but the time.
    Raises UserError where a StoredLayer is corrupt.
    """
    begin = time.monotonic()
    n, k = len(points), min(k, len(points) - 1)
    try:
        if n < 3:
            raise NotSearchable(f"only {n} points")
        indices, distances, report = METHODS[method](points, k, seed)
    except NotSearchable as reason:
        indices, distances = np.zeros((n, 0), dtype=np.int32), np.zeros((n, 0), dtype=np.float32)
        report = {"reason": str(reason)}
    return indices, distances, {"method": method, **report, "seconds": time.monotonic() - begin}


def auto(points, k, seed):
    """Search by whichever of the other methods is expected to take the least time."""
    return fastest_method(*points.shape)(points, k, seed)


def exact(points, k, seed=0):
    """Compare every point with all others; see exact.py. The seed is not used."""
    return *exact_neighbors(points, k), {"search": "exact", "recall": 1.0, "recall_k": 1.0}


def pynndescent(points, k, seed):
    """Search by nearest neighbor descent, with an audit; see approximate.py."""
    size = points.shape
    limit = expected_seconds(exact, *size)
    efforts = [effort for effort in EFFORTS if effort == 1 or expected_seconds(pynndescent, *size, effort) <= limit]
    return audited_descent(points, k, seed, efforts)


def sketch(points, k, seed):
    """Search by a sketch of the points, with an audit; see sketch.py."""
    return sketch_neighbors(points, k, seed)


METHODS = {"auto": auto, "pynndescent": pynndescent, "sketch": sketch, "exact": exact}


def fastest_method(n, features):
    """Return pynndescent, sketch or exact, whichever is expected to take the least time for points (n, features)."""
    return min((pynndescent, sketch, exact), key=lambda method: expected_seconds(method, n, features))


def expected_seconds(method, n, features, effort=1):
    """Return about how many seconds a job takes to search points (n, features) on 2 cores, imports included.

    The coefficients are those that benchmarks/methods.py prints.
    """
    if method is exact:
        return 0.8 + n**2 * (7.4e-12 * features + 1.5e-9)
    if method is sketch:
        return 1.3 + n * (2.5e-8 * features + 5e-6) + 9e-10 * n**2
    return 2.7 + effort * n * (1.5e-7 * features + 4.3e-5)
