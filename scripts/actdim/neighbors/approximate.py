"""Approximate nearest neighbors by nearest neighbor descent, in the implementation of pynndescent, audited.

W. Dong, C. Moses, K. Li (2011). Efficient k-nearest neighbor graph construction for generic similarity measures. WWW.
"""

import numpy as np

from actdim.neighbors.audit import recall_of_all, recall_of_first_two, true_neighbors
from actdim.neighbors.exact import exact_neighbors, k_nearest, squared_distances
from actdim.neighbors.pynndescent_cache import nn_descent_class

TARGET_RECALL = 0.99  # of the first two neighbors; missed ones bias the intrinsic dimension
THREADS = 4  # of pynndescent, on however many cores: its result depends on their number


def audited_descent(points, k, seed, efforts):
    """Return (indices, distances, report) of the k nearest neighbors, by descent at the first sufficient effort.

    points: (n, features); efforts: see `descend`, in the order in which to try them. An effort is sufficient if the
    audit finds a recall of TARGET_RECALL; where none is, the search is exact.
    indices: (n, k) int32, distances: (n, k) float32; report: see search.find_neighbors.
    Raises NotSearchable; see exact.py.
    """
    if len(points) <= 2 * (k + 1):
        return *exact_neighbors(points, k), report_of("exact", 1.0, 1.0, ["too few points to approximate"])
    points = np.ascontiguousarray(points, dtype=np.float64 if points.dtype == np.float64 else np.float32)
    sample, true_distances = true_neighbors(points, k, seed)
    notes = []
    for effort in efforts:
        indices, distances = descend(points, k, seed, effort)
        recall = recall_of_first_two(distances[sample], true_distances)
        if recall >= TARGET_RECALL:
            recall_k = recall_of_all(distances[sample], true_distances)
            return indices, distances, report_of("pynndescent", recall, recall_k, notes)
        notes.append(f"recall {recall:.4f} at effort {effort}, below {TARGET_RECALL}")
    return *exact_neighbors(points, k), report_of("exact", 1.0, 1.0, notes)


def report_of(search, recall, recall_k, notes):
    """Return the report of a search."""
    return {"search": search, "recall": recall, "recall_k": recall_k, "notes": "; ".join(notes)}


def descend(points, k, seed, effort):
    """Return approximate (indices, distances) of the k nearest neighbors, (n, k) each, by pynndescent.

    effort: factor on the number of neighbors, trees and iterations, which at 1 are about pynndescent's own.
    """
    n = len(points)
    centered = (points - points.mean(axis=0)).astype(np.float32)
    neighbors, _ = nn_descent_class()(
        centered,
        n_neighbors=min(effort * (k + 1), n - 1),
        n_trees=effort * max(3, min(12, round(2 * np.log10(n)))),
        n_iters=effort * max(5, round(np.log2(n))),
        random_state=seed,
        n_jobs=THREADS,
    ).neighbor_graph
    return measured_lists(points, neighbors, k)


def measured_lists(points, neighbors, k):
    """Return the k nearest (indices, distances) among pynndescent's neighbors (n, width), indices of points.

    The distances are computed again, from differences. Missing entries (-1), repeated ones and the point itself are
    dropped; a point that has fewer than k left is searched exactly.
    """
    itself = np.arange(len(neighbors))
    neighbors = np.sort(neighbors, axis=1)
    unusable = (neighbors < 0) | (neighbors == itself[:, None])
    unusable[:, 1:] |= neighbors[:, 1:] == neighbors[:, :-1]
    neighbors = np.where(unusable, itself[:, None], neighbors).astype(np.int32)
    (squares,) = squared_distances(points, [(itself, neighbors)])
    indices, distances = k_nearest(itself, neighbors, squares, k)
    incomplete = np.flatnonzero((~unusable).sum(axis=1) < k)
    if len(incomplete):
        indices[incomplete], distances[incomplete] = exact_neighbors(points, k, incomplete)
    return indices, distances
