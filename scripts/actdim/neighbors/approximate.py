"""Approximate nearest neighbors by nearest neighbor descent (Dong et al. 2011)."""

import numpy as np

from actdim.neighbors.exact import measure, nearest, search


def descend(points, k, seed, effort):
    """Return approximate (indices, distances) by pynndescent."""
    from actdim.neighbors.compiled import THREADS, nn_descent_class

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
