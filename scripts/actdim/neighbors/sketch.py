"""Nearest neighbors by a sketch: a few sums of all features choose candidates, differences measure them.

The product of an exact search takes n^2 d multiplications for n points in d dimensions. Most pairs of points are so far
apart that far fewer numbers suffice to tell. So each point is projected to a sketch of some hundred axes; the nearest
points in the sketch are the candidates, and their true distances are computed from the differences of all coordinates.
The distances are exact, but a true neighbor may not be among the candidates. So the recall, the share of the neighbors
that are found, is measured against an exact search for a sample of the points.

Symbols
-------
x_i         a point, less the origin c near the mean of the points, as in exact.py
m           the number of sums
y_i         the sums of a point, (m,)
z_i         the sketch of a point, its coordinates along the first q principal axes of the sums
q, w        the number of axes, and the number of candidates of each point
k           the number of neighbors that are wanted

Steps
-----
::

    columns of all points          columns of all points          ...              float_columns
            |                              |
            +--------------+---------------+-- ...
                           |
                           +--> products of a sample with all points               cross_terms, of exact.py
                           |    sums y, m of each point                            center_and_sum
                           v
            principal axes of the sums                                             principal_axes
                           |
                           v
            q and w, by what finds the sample's neighbors at least cost            cheapest_plan
                           |
                           v
            sketch z; the w nearest in it of each point                            nearest_in_sketch
                           |
                           |  differences, again some columns at a time            squared_distances
                           v
            distances of the candidates, of which the k smallest stay;             k_nearest
            those of the sample's true neighbors; the recall                       audit.py

1. Sums. Each feature is added, with a random sign, to one of m sums (a count sketch). For two points with difference
   v, the squared distance of the sums has the mean |v|^2 and, over the random numbers, a standard deviation of at most
   sqrt(2 / m) |v|^2. Feature j = a m + b, with b < m, goes to the sum (b + shift_a) mod m. The random shift_a makes any
   two features of different a meet with probability 1 / m, as random sums would, and keeps runs of features together,
   which processors add many at a time. Where d <= m, the sums are the features themselves.
2. Axes. Activations vary along few directions, and the sums inherit this. Their first q principal axes, from some of
   the points, hold most of a distance. A rotation changes no distance, so nothing is lost but what the axes leave out.
   A feature with huge values becomes an axis of its own. Products add the axes in order of their variance, the largest
   last, so that they do not round what the small ones say.
3. Plan. The products of a sample with all points tell, to rounding, the true neighbors of the sample. With them, each
   number of axes of AXES tells which share of the neighbors is among the w nearest in the sketch. The plan is the
   cheapest pair q, w that reaches the targets. If none does, the sums are taken again, twice as many, and at last the
   search is exact.
4. Candidates. For a strip of points and a tile of all others at a time, a product of matrices gives the distances in
   the sketch; each point keeps the w smallest (`kernels.keep_smallest`). The memory does not grow with n^2.
5. Measure, as in exact.py.
6. Audit. The sample's candidates by the bound of exact.py are measured together with all others, which makes the
   sample's true distances exact. If recall turns out below its target, the search is exact.

Threads. Every number is computed by one thread, from arrays whose shapes do not depend on the number of threads. BLAS
is set to one thread, and strips of rows are shared among the threads. So the same seed gives the same lists.

References
----------
M. Charikar, K. Chen, M. Farach-Colton (2002). Finding frequent items in data streams. ICALP.
K. Weinberger, A. Dasgupta, J. Langford, A. Smola, J. Attenberg (2009). Feature hashing for large scale multitask
learning. ICML.
N. Halko, P. G. Martinsson, J. A. Tropp (2011). Finding structure with randomness: probabilistic algorithms for
constructing approximate matrix decompositions. SIAM Review 53 (2), 217-288.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from actdim.neighbors.audit import AUDITED, recall_of_all, recall_of_first_two
from actdim.neighbors.exact import (
    CENTER,
    candidates_of_block,
    column_slices,
    cross_terms,
    exact_neighbors,
    k_nearest,
    relative_error,
    require_distances,
    squared_distances,
)
from actdim.neighbors.matmul import MatMul
from actdim.storage.layer_reader import float_columns
from actdim.threads import given_threads

SUMS = (1024, 2048)  # of each point; the second where the first are too few and features are many
AXES = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
WIDTHS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16)  # candidates for each neighbor wanted
FEWEST = 32  # candidates of each point
TARGET_RECALL, TARGET_RECALL_OF_ALL = 0.99, 0.95  # of the first two neighbors, and of all k
AIM, AIM_OF_ALL = 0.998, 0.96  # of the plan

SUM_BYTES = 1_000_000_000  # sums of all points
SAMPLE_BYTES = 400_000_000  # products of the sample with all points
STRIP_BYTES = 2_500_000  # products in the sketch among which one thread chooses candidates; they should fit its cache
TILE = 16_384  # points with which a strip is compared at a time
SAMPLE_STRIP = 64  # points of the sample whose products one thread computes
PLANNED = 125  # points of the sample by which the plan is chosen
SORTED = 10_000  # lists that are sorted at a time
SPECTRUM = 4_000  # points whose covariance has the principal axes


class Plan(NamedTuple):
    """How to search for candidates."""

    axes: int
    width: int  # candidates of each point


def sketch_neighbors(points, k, seed):
    """Return (indices, distances, report) of the k nearest neighbors of every point by a sketch, audited.

    points: (n, features), see exact.exact_neighbors; seed: of the signs, the shifts and the sample.
    indices: (n, k) int32, distances: (n, k) float32; report: see search.find_neighbors.
    Raises NotSearchable, see exact.py; UserError where a StoredLayer is corrupt.
    """
    n, features = points.shape
    notes = []
    if n < 4 * max(k + 1, FEWEST):
        return exactly(points, k, ["too few points for a sketch"])
    with threadpool_limits(1, user_api="blas"):
        for n_sums in numbers_of_sums(n, features):
            result, note = search(points, k, seed, n_sums)
            if result:
                return result
            notes.append(note)
    return exactly(points, k, notes)


def numbers_of_sums(n, features):
    """Return the numbers of sums to try for points (n, features): more only where there are far more features."""
    most = max(1, SUM_BYTES // (4 * n))
    return [min(features, most, SUMS[0]), *(number for number in SUMS[1:] if 4 * number <= features and number <= most)]


def exactly(points, k, notes):
    """Return (indices, distances, report) of an exact search; `notes` say why it is needed."""
    report = {"search": "exact", "recall": 1.0, "recall_k": 1.0, "notes": "; ".join(notes)}
    return *exact_neighbors(points, k), report


def search(points, k, seed, n_sums):
    """Return ((indices, distances, report), None) by so many sums, or (None, why they are too few)."""
    n = len(points)
    sums, sample, near = project(points, k, seed, n_sums)
    rotated = rotate(sums)
    del sums
    nearest = nearest_of_sample(near, sample, k)
    plan = cheapest_plan(rotated, sample, nearest, points.shape[1])
    if plan is None:
        return None, f"{n_sums} sums tell too little"
    everyone = np.arange(n)
    candidates = nearest_in_sketch(first_axes(rotated, plan.axes), plan.width)
    del rotated
    pairs = [(everyone, candidates), *((sample[rows], others) for rows, others, _ in near)]
    squares, *squares_of_sample = squared_distances(points, pairs)
    indices, distances = np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32)
    for top in range(0, n, SORTED):
        part = slice(top, top + SORTED)
        indices[part], distances[part] = k_nearest(everyone[part], candidates[part], squares[part], k)
    true_distances = np.empty((len(sample), k), dtype=np.float32)
    for (rows, others, _), squares in zip(near, squares_of_sample, strict=True):
        true_distances[rows] = k_nearest(sample[rows], others, squares, k)[1]
    recall = recall_of_first_two(distances[sample], true_distances)
    recall_k = recall_of_all(distances[sample], true_distances)
    how = f"{n_sums} sums, {plan.axes} axes, {plan.width} candidates"
    if recall < TARGET_RECALL or recall_k < TARGET_RECALL_OF_ALL:
        return None, f"recall {recall:.4f}, {recall_k:.4f} of all, with {how}"
    return (indices, distances, {"search": "sketch", "recall": recall, "recall_k": recall_k, "notes": how}), None


def project(points, k, seed, n_sums):
    """Return (sums, sample, near): the sums (n, n_sums) of all points, and what can be nearest to a sample of them.

    sample: (m,) sorted indices of points. near: [(rows, others, values)]: rows of the sample, the points (rows, width)
    that can be among their k nearest, and their squared distances in the sense of exact.py's step 3, to rounding.
    """
    n, features = points.shape
    slices = column_slices(points.shape)
    random = np.random.default_rng(seed)
    size = min(AUDITED, n, max(1, SAMPLE_BYTES // (4 * n)))
    sample = np.sort(random.choice(n, size, replace=False))
    signs = 1 - 2 * random.integers(2, size=features).astype(np.float32)
    shifts = random.integers(n_sums, size=-(-features // n_sums))
    sums, everyone = np.zeros((n, n_sums), dtype=np.float32), np.arange(n)
    with ThreadPoolExecutor(given_threads()) as pool:
        matmul = float32_by_strips(pool)
        operands = center_and_project(points, slices, signs, shifts, sums)
        memory = np.empty((size, n), dtype=np.float32)
        products, norms = cross_terms(operands, sample, everyone, matmul, memory)
    require_distances(points, norms)
    error = relative_error(slices, matmul)
    near = candidates_of_block(products, norms, error, sample, everyone, k)
    return sums, sample, [(rows, others, products[rows[:, None], others]) for rows, others in near]


def center_and_project(points, slices, signs, shifts, sums):
    """Yield (values, squared norms) of some columns of the points at a time, centered, and add them to the sums."""
    from actdim.neighbors import kernels  # imported here, so that an exact search of few points need not import numba

    for columns, values in zip(slices, float_columns(points, slices), strict=True):
        with np.errstate(invalid="ignore", over="ignore"):
            origin = values[:: -(-len(values) // CENTER)].mean(axis=0, dtype=np.float64).astype(values.dtype)
            if values.dtype != np.float32:
                values, origin = (values - origin).astype(np.float32), np.zeros_like(origin, dtype=np.float32)
        squares = np.zeros(len(values))
        kernels.center_and_sum(values, origin, columns.start, signs, shifts, sums, squares)
        yield values, squares


def float32_by_strips(pool):
    """Return the MatMul of NumPy in float32 that computes strips of rows in the threads of a pool."""

    def multiply(a, b, out, add):
        def multiply_strip(top):
            part = slice(top, top + SAMPLE_STRIP)
            with np.errstate(invalid="ignore", over="ignore"):
                if add:
                    out[part] += a[part] @ b.T
                else:
                    np.matmul(a[part], b.T, out=out[part])

        list(pool.map(multiply_strip, range(0, len(a), SAMPLE_STRIP)))

    return MatMul("float32 by strips", lambda values: values, multiply, roundoff=0.0)


def nearest_of_sample(near, sample, k):
    """Return (m, k) int32, the k nearest of each point of the sample by their values; see `project`."""
    nearest = np.empty((len(sample), k), dtype=np.int32)
    for rows, others, values in near:
        values = np.where(others == sample[rows][:, None], np.inf, values)
        nearest[rows] = np.take_along_axis(others, np.argsort(values, axis=1, kind="stable")[:, :k], axis=1)
    return nearest


def rotate(sums):
    """Return sums (n, m) along their principal axes (n, at most max(AXES)), the axis of the largest variance last."""
    some = sums[:: -(-len(sums) // SPECTRUM)]
    some = (some - some.mean(axis=0, dtype=np.float64)).astype(np.float64)
    _, axes = np.linalg.eigh(some.T @ some)
    axes = np.ascontiguousarray(axes[:, -max(AXES) :], dtype=np.float32)
    return by_strips(lambda part: sums[part] @ axes, len(sums), 4096, np.empty((len(sums), axes.shape[1]), np.float32))


def by_strips(function, n, height, result):
    """Fill the rows of an array with what a function of slices of them returns, in the threads of the job."""

    def fill(top):
        part = slice(top, min(top + height, n))
        result[part] = function(part)

    with ThreadPoolExecutor(given_threads()) as pool:
        list(pool.map(fill, range(0, n, height)))
    return result


def first_axes(rotated, axes):
    """Return the sketch (n, axes): the coordinates of the largest variance, which are the last."""
    return np.ascontiguousarray(rotated[:, -axes:])


def cheapest_plan(rotated, sample, nearest, features):
    """Return the Plan that takes the least time of those that find enough of the nearest (m, k) of the sample."""
    n, k = len(rotated), nearest.shape[1]
    some = slice(None, None, -(-len(sample) // PLANNED))
    sample, nearest = sample[some], nearest[some]
    widths = sorted({min(n - 1, max(FEWEST, round(factor * k))) for factor in WIDTHS})
    plans = []
    for axes in sorted({min(axes, rotated.shape[1]) for axes in AXES}):
        sketch = first_axes(rotated, axes)
        norms = np.einsum("ij,ij->i", sketch, sketch)
        values = norms - 2 * sketch[sample] @ sketch.T
        values[np.arange(len(sample)), sample] = np.inf
        of_nearest = np.take_along_axis(values, nearest, axis=1)
        values.partition([width - 1 for width in widths], axis=1)
        for width in widths:
            hits = of_nearest <= values[:, width - 1, None]
            if hits[:, :2].mean() >= AIM and hits.mean() >= AIM_OF_ALL:
                plans.append((cost(n, features, axes, width), Plan(axes, width)))
                break
    return min(plans)[1] if plans else None


def cost(n, features, axes, width):
    """Return about how many seconds a search by a plan takes, without what is the same for all plans."""
    return n**2 * (4e-12 * axes + 1.5e-10) + n * width * (1e-10 * features + 2e-8)


def nearest_in_sketch(sketch, width):
    """Return (n, width) int32, the nearest others of each point of a sketch (n, axes), in no order."""
    from actdim.neighbors import kernels

    n = len(sketch)
    norms = np.einsum("ij,ij->i", sketch, sketch)
    tile = min(n, TILE)
    kept = width + 1  # the point itself is one of them

    def strip(part):
        queries = -2 * sketch[part]
        height, room = len(queries), 3 * kept
        products = np.empty(height * tile, dtype=np.float32)
        values, columns = np.empty((height, room), np.float32), np.empty((height, room), np.int32)
        counts, bounds = np.zeros(height, dtype=np.int64), np.full(height, np.inf, dtype=np.float32)
        for left in range(0, n, tile):
            others = sketch[left : left + tile]
            product = products[: height * len(others)].reshape(height, len(others))
            np.matmul(queries, others.T, out=product)
            kernels.keep_smallest(product, norms[left : left + tile], left, values, columns, counts, bounds, kept)
        kernels.cut_lists(values, columns, counts, kept)
        return without_itself(columns[:, :kept], np.arange(part.start, part.stop))

    height = max(1, STRIP_BYTES // (4 * tile))
    return by_strips(strip, n, height, np.empty((n, width), dtype=np.int32))


def without_itself(columns, rows):
    """Return columns (m, width - 1) of (m, width) with the row's own index left out, or else the last one."""
    place = columns == rows[:, None]
    last = np.where(place.any(axis=1), place.argmax(axis=1), columns.shape[1] - 1)
    columns[np.arange(len(columns)), last] = columns[:, -1]
    return columns[:, :-1]
