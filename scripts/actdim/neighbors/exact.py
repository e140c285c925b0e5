"""Exact nearest neighbors: a matrix product rules out most pairs of points, differences measure the others.

Given points x_1, ..., x_n in d dimensions, find the k nearest neighbors of each. In

    |x_i - x_j|^2 = |x_i|^2 + |x_j|^2 - 2 x_i . x_j                                                 (1)

the last term is, for all pairs, a product of matrices, which processors compute faster than anything else. But to near
neighbors the distance is a small difference of large terms, and rounding may leave it without a correct digit. So (1)
only chooses candidates: the points that can be among the k nearest, given how large the rounding error can be. Their
distances are then computed from the differences of coordinates, which loses no digits. The result is exact whatever the
arithmetic of the product; a coarse one, such as bfloat16, only leaves more candidates.

Symbols
-------
i, j        a query, one of the points whose neighbors are wanted, and a reference, one of those to find
c           the origin, near the mean of the points
s_j         the squared norm |x_j - c|^2, as computed
P_ij        -2 (x_i - c) . (x_j - c), as computed
D_ij        the squared distance |x_i - x_j|^2, exact
e           the bound on the error of (1): |s_i + s_j + P_ij - D_ij| <= e (s_i + s_j)

Steps
-----
::

    columns of all points          columns of all points          ...              float_columns
            |                              |
        center, cast                   center, cast                                center_and_cast
            |                              |
            +--------------+---------------+-- ...
                           |  sum
                           v
            P, for a block of queries and all references, and s                    cross_terms
                           |
                           |  lower bounds, a threshold for each query             candidates_of_block
                           v
            candidates: k and a few more for each query
                           |
                           |  differences, again some columns at a time            squared_distances
                           v
            distances of the candidates, of which the k smallest stay              k_nearest

1. Center. Errors grow with the norms, so that the origin should lie among the points. Any origin is correct.
2. Multiply. Points are read some columns at a time, so that a layer of any width fits into memory. Where the queries
   are the references, P is symmetric and half of it is computed.
3. Choose candidates. From the definition of e,

       l_ij <= D_ij - (1 - e) s_i <= l_ij + 2 e s_j + 2 e s_i,    where l_ij = P_ij + (1 - e) s_j.  (2)

   (1 - e) s_i is the same for all j. So let t_i be the (k + 1)-th smallest of the upper bounds in (2), the query itself
   being one of the k + 1: a reference with l_ij > t_i cannot be among the k nearest. To find t_i for all references
   takes long. A threshold that is not below t_i is correct, too, and a first one takes no more than the minimum of l_ij
   in each group of GROUP references (`candidates_of_strip`); t_i itself is then found among those left (`narrow`).
4. Measure. D_ij is the sum of squared differences, in float32 (in float64 for points in float64) within some columns,
   in float64 over them. Equal distances are sorted by index.

The error bound
---------------
Let u = 2^-24, the unit roundoff of float32, and p the number of additions that one element of P takes: the columns in
one slice, and as many more as there are slices.

- A sum of p products is off by at most p u |x| |y|, in any order of the additions (Higham 2002, section 3.1; that no
  term in (p u)^2 is needed is in Jeannerod and Rump 2013).
- The product's own arithmetic adds at most r |x| |y|: r = 0 in float32; r = 3.01 * 2^-9 in bfloat16, which rounds both
  operands and the product of each slice (`MatMul.roundoff`).
- 2 |x| |y| <= |x|^2 + |y|^2. So P_ij is off by at most (r + p u) (s_i + s_j), and s_i by at most p u s_i.
- To center rounds each coordinate once, which moves D_ij by 4 u (s_i + s_j) at most, to first order. To put (1) and (2)
  together takes a few operations more. 16 u (s_i + s_j) is enough for both.

Together, e = r + (2 p + 16) u (`relative_error`). Squared norms near the limits of float32 are refused, so that nothing
overflows or underflows.

References
----------
N. J. Higham (2002). Accuracy and Stability of Numerical Algorithms, 2nd edition. SIAM.
C.-P. Jeannerod, S. M. Rump (2013). Improved error bounds for inner products in floating-point arithmetic. SIAM Journal
on Matrix Analysis and Applications 34 (2), 338-344.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from actdim.neighbors.matmul import U32, choose_matmul
from actdim.storage.layer_reader import float_columns
from actdim.threads import given_threads

# Memory. The first two bound it whatever the number of points and features; see workflow/resources.py.
CHUNK_BYTES = 160_000_000  # columns of all points at a time, as float32
PRODUCT_BYTES = 400_000_000  # P, for a block of queries
HELD_BYTES = 800_000_000  # points as float32 that are read once for all blocks, not once for each
MAX_CANDIDATES = 20_000_000  # in memory before they are measured; duplicates can make many

# Speed.
SLAB_BYTES = 32_000_000  # elements of P that one product makes
STRIP_BYTES = 2_500_000  # elements of P among which one thread chooses candidates; they should fit its cache
GROUP = 16  # references of which only the least lower bound counts for the first threshold
CENTER = 500  # points whose mean is the origin
WORTH_NUMBA = 3e6  # values of points with which NumPy takes longer than numba and its import

SMALLEST, LARGEST = 1e-26, 1e36  # largest squared norms between which float32 neither underflows nor overflows


class NotSearchable(Exception):
    """The points have no neighbors; the text is the reason, which tables show."""


class Candidates(NamedTuple):
    """References that can be among the k nearest of some queries."""

    rows: np.ndarray  # (m,) the queries, as positions in the array of all queries
    points: np.ndarray  # (m, width) int32, indices of points; rows with fewer repeat the query itself


def exact_neighbors(points, k, queries=None, references=None):
    """Return (indices, distances) of the k nearest neighbors of each query among the references.

    points: (n, features), an array, an open HDF5 data set or a StoredLayer, of which some columns at a time are held in
    memory. queries, references: sorted indices of points, None for all. k: at most the number of references other than
    the query, which is not its own neighbor.
    indices: (queries, k) int32, of points; distances: (queries, k) float32, Euclidean, ascending, ties by index.
    Raises NotSearchable where a value is not finite, norms are too large or too small for float32, or all points are
    the same; UserError where a StoredLayer is corrupt.
    """
    n, features = points.shape
    queries = np.arange(n) if queries is None else queries
    references = np.arange(n) if references is None else references
    distance_kernel(n * features)  # imports numba if points are many, for float_columns to use it, too
    indices = np.empty((len(queries), k), dtype=np.int32)
    distances = np.empty((len(queries), k), dtype=np.float32)

    def measure(candidates):
        squares = squared_distances(points, [(queries[rows], near) for rows, near in candidates])
        for (rows, near), squares_of_rows in zip(candidates, squares, strict=True):
            indices[rows], distances[rows] = k_nearest(queries[rows], near, squares_of_rows, k)

    # Measured together, because each measurement reads all points.
    unmeasured = []
    for candidates in candidates_by_block(points, k, queries, references):
        unmeasured += candidates
        if sum(near.size for _, near in unmeasured) > MAX_CANDIDATES:
            measure(unmeasured)
            unmeasured = []
    if unmeasured:
        measure(unmeasured)
    return indices, distances


def candidates_by_block(points, k, queries, references):
    """Yield a list of Candidates for each block of queries; see `exact_neighbors`."""
    n, features = points.shape
    slices = column_slices(points.shape)
    matmul = choose_matmul(len(queries) * len(references) * features)
    error = relative_error(slices, matmul)
    block_size = max(1, PRODUCT_BYTES // (4 * len(references)))
    memory = np.empty((min(block_size, len(queries)), len(references)), dtype=np.float32)
    held = None
    if len(queries) > block_size and 4 * n * features <= HELD_BYTES:
        held = [center_and_cast(values.copy(), matmul) for values in float_columns(points, slices)]
    for start in range(0, len(queries), block_size):
        block = queries[start : start + block_size]
        operands = held or (center_and_cast(values, matmul) for values in float_columns(points, slices))
        products, norms = cross_terms(operands, block, references, matmul, memory[: len(block)])
        require_distances(points, norms)
        candidates = candidates_of_block(products, norms, error, block, references, k)
        yield [Candidates(start + rows, near) for rows, near in candidates]


def column_slices(shape):
    """Return slices of the columns of points (n, features), each of at most CHUNK_BYTES as float32."""
    n, features = shape
    width = max(1, CHUNK_BYTES // (4 * n))
    return [slice(left, min(left + width, features)) for left in range(0, features, width)]


def center_and_cast(values, matmul):
    """Return some columns (n, columns) of the points as an operand of `matmul`, centered, and their squared norms (n,).

    The values are changed.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        values -= values[:: -(-len(values) // CENTER)].mean(axis=0, dtype=np.float64).astype(values.dtype)
        centered = values.astype(np.float32, copy=False)
        return matmul.cast(centered), np.einsum("ij,ij->i", centered, centered)


def cross_terms(operands, queries, references, matmul, memory):
    """Return P (queries, references) float32, in the memory given, and the squared norms s (n,) float32 of all points.

    operands: an iterable of what `center_and_cast` returns for each slice of columns.
    """
    symmetric = np.array_equal(queries, references)  # the part above the diagonal is computed and then mirrored
    edges = np.linspace(0, len(queries), -(-memory.nbytes // SLAB_BYTES) + 1).astype(int)
    products, norms = memory, 0
    for number, (operand, squares) in enumerate(operands):
        with np.errstate(over="ignore"):  # squared norms are then infinite, too, which require_distances reports
            left, right = -2 * operand[as_slice(queries)], operand[as_slice(references)]
        for top, bottom in itertools.pairwise(edges):
            first = top if symmetric else 0
            matmul.multiply(left[top:bottom], right[first:], products[top:bottom, first:], add=number > 0)
        norms = norms + squares.astype(np.float64)
    if symmetric:
        for top, bottom in itertools.pairwise(edges):
            products[bottom:, top:bottom] = products[top:bottom, bottom:].T
    return products, norms.astype(np.float32)


def as_slice(indices):
    """Return sorted indices as a slice if they are consecutive, which takes rows without copying them."""
    return slice(indices[0], indices[-1] + 1) if indices[-1] - indices[0] + 1 == len(indices) else indices


def relative_error(slices, matmul):
    """Return e, the bound on the error of squared norms and products over the sum of the two norms; see above."""
    additions = slices[0].stop + len(slices)
    return matmul.roundoff + (2 * additions + 16) * U32


def require_distances(points, norms):
    """Raise NotSearchable where points have no distances or float32 cannot hold their squared norms (n,)."""
    if not np.isfinite(norms).all():
        finite = np.ones(len(norms), dtype=bool)
        for values in float_columns(points, column_slices(points.shape)):
            finite &= np.isfinite(values).all(axis=1)
        if not finite.all():
            raise NotSearchable(f"{(~finite).sum()} of {len(norms)} points are not finite")
        raise NotSearchable(f"{(~np.isfinite(norms)).sum()} of {len(norms)} points are too large for float32")
    if not norms.any():
        raise NotSearchable("all points are the same, or too near for float32")
    if norms.max() > LARGEST or norms.max() < SMALLEST:
        raise NotSearchable(f"the points lie too {'near' if norms.max() < 1 else 'far'} for float32")


def candidates_of_block(products, norms, error, queries, references, k):
    """Return a list of Candidates for the queries of a block, their rows counted from the first of the block.

    products: P (queries, references), overwritten; norms: s (n,); error: e.
    """
    gap = (2 * error * norms[references]).astype(np.float32)
    slack = 2 * error * norms[queries]
    shift = norms[references] - gap / 2
    count = min(k + 1, len(references))
    height = max(1, STRIP_BYTES // (4 * len(references)))

    def of_strip(top):
        strip = slice(top, top + height)
        lower = np.add(products[strip], shift, out=products[strip])
        for rows, columns in candidates_of_strip(lower, gap, slack[strip], count):
            itself = queries[strip][rows, None]
            yield Candidates(top + rows, np.where(columns < 0, itself, references[columns]).astype(np.int32))

    with ThreadPoolExecutor(given_threads()) as pool:
        strips = pool.map(lambda top: list(of_strip(top)), range(0, len(queries), height))
        return [candidates for strip in strips for candidates in strip]


def candidates_of_strip(lower, gap, slack, count):
    """Yield (rows, columns): in `columns` (m, width) lie the `count` smallest values of `rows` (m,); -1 fills up.

    lower: (queries, references); the value in row i and column j is between lower[i, j] and that + gap[j] + slack[i].
    """
    rows, n = lower.shape
    minima = lower[:, : n - n % GROUP].reshape(rows, GROUP, -1).min(axis=1) if n >= 4 * GROUP * count else lower
    threshold = np.partition(minima, count - 1, axis=1)[:, count - 1] + gap.max() + slack
    row, column = np.divmod(np.flatnonzero(lower <= threshold[:, None]), n)
    counts = np.bincount(row, minlength=rows)
    crowded = counts > 8 * count  # rows with many columns, apart, because they would make the arrays of others as wide
    for chosen in (~crowded, crowded):
        if chosen.any():
            inside = chosen[row]
            position = np.arange(inside.sum()) - np.repeat(np.cumsum(counts[chosen]) - counts[chosen], counts[chosen])
            columns = np.full((chosen.sum(), counts[chosen].max()), -1)
            columns[(np.cumsum(chosen) - 1)[row[inside]], position] = column[inside]
            yield np.flatnonzero(chosen), narrow(columns, lower[chosen], gap, slack[chosen], count)


def narrow(columns, lower, gap, slack, count):
    """Return `columns` (m, width) in fewer columns, as many as the row needs with most that can be among the smallest.

    lower: (m, references), slack: (m,), gap: (references,); see `candidates_of_strip`.
    """
    low = np.where(columns < 0, np.inf, np.take_along_axis(lower, columns, axis=1))
    threshold = np.partition(low + gap[columns], count - 1, axis=1)[:, count - 1] + slack
    width = (low <= threshold[:, None]).sum(axis=1).max()
    return np.take_along_axis(columns, np.argpartition(low, width - 1, axis=1)[:, :width], axis=1)


def squared_distances(points, pairs):
    """Return squared distances between points, from differences of coordinates: (m, width) float64 for each pair.

    pairs: [(queries (m,), others (m, width))], indices of points.
    """
    squares = [np.zeros(others.shape) for _, others in pairs]
    add_squared_differences = distance_kernel(sum(len(queries) for queries, _ in pairs) * points.shape[1])
    for values in float_columns(points, column_slices(points.shape)):
        for (queries, others), sums in zip(pairs, squares, strict=True):
            add_squared_differences(values, queries, others, sums)
    return squares


def distance_kernel(values):
    """Return the function that adds squared differences, for so many values of the queries.

    The choice depends on nothing else, because NumPy and numba round differently.
    """
    if values < WORTH_NUMBA:
        return add_squared_differences
    from actdim.neighbors import kernels

    return kernels.add_squared_differences


def add_squared_differences(values, rows, others, sums):
    """Add the squared differences between rows of `values` and others to `sums`; see kernels.py."""
    height = max(1, 2**20 // others[0].size // values.shape[1])
    for top in range(0, len(rows), height):
        part = slice(top, top + height)
        differences = values[others[part]] - values[rows[part], None]
        sums[part] += np.einsum("ijk,ijk->ij", differences, differences)


def k_nearest(queries, near, squares, k):
    """Return (indices, distances) (m, k) of the k nearest of the points `near`, by distance, then by index.

    queries: (m,), near: (m, width) indices of points, the query itself left out; squares: (m, width).
    """
    order = np.argsort(near, axis=1)
    near, squares = (np.take_along_axis(values, order, axis=1) for values in (near, squares))
    distances = np.where(near == queries[:, None], np.inf, np.sqrt(squares)).astype(np.float32)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(distances, order, axis=1)
