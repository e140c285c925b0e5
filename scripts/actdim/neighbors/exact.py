"""Exact nearest neighbors, block by block: a matrix product chooses candidates, differences measure them.

A candidate is every point that may be among the k nearest, given how far rounding can put the product off. So the
result is exact whatever the arithmetic of the product; a coarse one only makes more candidates.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from actdim.neighbors import matmul
from actdim.neighbors.matmul import U32
from actdim.storage.layer_reader import Layer, row_checksums

CHUNK_BYTES = 160_000_000  # float32 values of some features of all points


PRODUCT_BYTES = 400_000_000  # float32 products of a block of points with all points


SLAB_BYTES = 32_000_000  # products to make at once


HELD_BYTES = 800_000_000  # float32 values of points that are read once for all blocks, and not once for each


STRIP_BYTES = 2_500_000  # rows of products to sort through at once: they should fit a cache


GROUP = 16  # columns of products that are first looked at together


CENTER = 500  # points whose mean is the origin; any origin is right, a near one rounds less


MANY = 20_000_000  # candidates in memory


SMALLEST, LARGEST = 1e-26, 1e36  # squared norms with which float32 neither underflows nor overflows


WORTH_NUMBA = 3e6  # values of points with which numpy takes longer than numba does to be imported


class NotSearchable(Exception):
    """Points that have no neighbors; the text is the reason."""


def search(points, k, rows=None, among=None):
    """Return the k nearest neighbors (indices, distances) of the points in `rows` among the points in `among`.

    points: (n, features), an array or a data set of an open HDF5 file; a few columns at a time are in memory.
    rows, among: sorted indices of points, or None for all. A point is not its own neighbor.
    indices: (len(rows), k) int32 into `points`, distances: (len(rows), k) float32, Euclidean, sorted, ties by index;
    k is at most the number of other points.
    Raises NotSearchable where a value is not finite, or too large or small for float32, or all points are the same.
    """
    n, features = points.shape
    rows = np.arange(n) if rows is None else rows
    among = np.arange(n) if among is None else among
    machine = matmul.choose(len(rows) * len(among) * features)
    indices = np.empty((len(rows), k), dtype=np.int32)
    distances = np.empty((len(rows), k), dtype=np.float32)
    step = max(1, PRODUCT_BYTES // (4 * len(among)))
    memory = np.empty((min(step, len(rows)), len(among)), dtype=np.float32)
    hold = len(rows) > step and 4 * n * features <= HELD_BYTES
    held = [operand(values.copy(), machine) for values in pieces(points)] if hold else None
    found = []
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        operands = held or (operand(values, machine) for values in pieces(points))
        products, norms = multiply(operands, block, among, machine, memory[: len(block)])
        require_distances(points, norms)
        error = relative_error(chunks(points), machine)
        found += [(start + places, near) for places, near in candidates(products, norms, error, block, among, k)]
        # Once for all blocks, for it reads all points; but not with too many to hold, which duplicates can make.
        if start + step >= len(rows) or sum(near.size for _, near in found) > MANY:
            squares = measure(points, [(rows[places], near) for places, near in found])
            for (places, near), own in zip(found, squares, strict=True):
                indices[places], distances[places] = nearest(rows[places], near, own, k)
            found = []
    return indices, distances


def chunks(points):
    """Return slices of the columns of points (n, features), each of CHUNK_BYTES at most as float32."""
    n, features = points.shape
    width = max(1, CHUNK_BYTES // (4 * n))
    return [slice(left, min(left + width, features)) for left in range(0, features, width)]


def pieces(points):
    """Yield some columns of all points at a time, as float32 (float64 where stored so), in memory that is reused."""
    columns = chunks(points)
    checked = isinstance(points, Layer) and not points.right
    if points.shape[0] * points.shape[1] >= WORTH_NUMBA:
        compiled()  # which also makes checksums sooner
    stored = np.empty(len(points) * columns[0].stop, dtype=points.dtype)
    wide = np.empty(stored.shape, dtype=np.float64 if points.dtype == np.float64 else np.float32)
    for part in columns:
        shape = len(points), part.stop - part.start
        read, values = (memory[: shape[0] * shape[1]].reshape(shape) for memory in (stored, wide))
        if isinstance(points, Layer):
            points.read_columns(read, part)
        else:
            np.copyto(read, points[:, part])
        sums = np.empty(len(points) if checked else 0, dtype=np.uint64)
        widen(read, values, sums, part.start)
        if checked:
            points.check(sums, slice(None), part.start, part.stop)
        yield values


def widen(stored, values, sums, first):
    """Copy stored values (n, columns) to others of a float type that holds them, of which `first` is the first column.

    sums: (n,) uint64 for their checksums, see layers.row_checksums; (0,) where nobody asks for them.
    """
    if stored.dtype == np.float16 and stored.size >= WORTH_NUMBA:
        compiled().widen_half(stored.view(np.uint16), values, sums, first)
        return
    np.copyto(values, stored)
    if len(sums):
        sums[:] = row_checksums(stored, first)


def operand(values, machine):
    """Return (operand, squared norms) of some columns of the points, about an origin near their mean."""
    with np.errstate(invalid="ignore", over="ignore"):
        values -= values[:: -(-len(values) // CENTER)].mean(axis=0, dtype=np.float64).astype(values.dtype)
        centered = values.astype(np.float32, copy=False)
        return machine.cast(centered), np.einsum("ij,ij->i", centered, centered)


def multiply(operands, rows, among, machine, products):
    """Return -2 times the products (rows, among) of points, in the memory given, and all squared norms (n,)."""
    # The product of all points with themselves is symmetric: make the half above the diagonal and mirror it.
    symmetric = np.array_equal(rows, among)
    strips = np.linspace(0, len(rows), -(-products.nbytes // SLAB_BYTES) + 1).astype(int)
    norms = 0
    for number, (values, squares) in enumerate(operands):
        with np.errstate(over="ignore"):  # the squared norms of such points are infinite, too
            left, right = -2 * values[as_slice(rows)], values[as_slice(among)]
        for top, bottom in itertools.pairwise(strips):
            first = top if symmetric else 0
            machine.multiply(left[top:bottom], right[first:], products[top:bottom, first:], add=number > 0)
        norms = norms + squares.astype(np.float64)
    if symmetric:
        for top, bottom in itertools.pairwise(strips):
            products[bottom:, top:bottom] = products[top:bottom, bottom:].T
    return products, norms.astype(np.float32)


def as_slice(rows):
    """Return sorted indices as a slice where they follow each other: it takes rows without a copy."""
    return slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows


def relative_error(columns, machine):
    """Return e such that norms[i] + norms[j] + products[i, j] is off by at most e (norms[i] + norms[j]).

    Sums of m terms are off by m U32 |x||y| at most, in whatever order (Higham 2002, section 3.1); to center is one
    operation, to put the square together three. 2 |x||y| is at most |x|^2 + |y|^2.
    """
    terms = columns[0].stop + len(columns)
    return machine.roundoff + (2 * terms + 16) * U32


def require_distances(points, norms):
    """Raise NotSearchable where there are no distances, or float32 cannot hold the squared norms (n,) of the points."""
    if not np.isfinite(norms).all():
        lost = ~np.isfinite(norms)
        finite = np.ones(len(norms), dtype=bool)
        for columns in chunks(points):
            finite &= np.isfinite(points[:, columns]).all(axis=1)
        if not finite.all():
            raise NotSearchable(f"{(~finite).sum()} of {len(norms)} points are not finite")
        raise NotSearchable(f"{lost.sum()} of {len(norms)} points are too large for float32")
    if not norms.any():
        raise NotSearchable("all points are the same")
    if norms.max() > LARGEST or norms.max() < SMALLEST:
        raise NotSearchable(f"the points lie too {'near' if norms.max() < 1 else 'far'} for float32")


def candidates(products, norms, error, rows, among, k):
    """Return a list of (places, near): the rows at `places` (m,) have their k nearest in `near` (m, width).

    products: (rows, among), overwritten. near: indices of points, filled up with the row's own.
    """
    gap = (2 * error * norms[among]).astype(np.float32)
    slack = 2 * error * norms[rows]
    shift = norms[among] - gap / 2
    height = max(1, STRIP_BYTES // (4 * len(among)))

    def of_strip(top):
        strip = slice(top, top + height)
        # The squares of the distances, at their lowest, but for norms[i], which is the same in a row.
        lowest = np.add(products[strip], shift, out=products[strip])
        count = min(k + 1, len(among))  # with the point itself
        for places, columns in possible(lowest, gap, slack[strip], count):
            own = rows[strip][places, None]
            yield top + places, np.where(columns < 0, own, among[columns]).astype(np.int32)

    with ThreadPoolExecutor(matmul.cores()) as pool:
        parts = pool.map(lambda top: list(of_strip(top)), range(0, len(rows), height))
        return [part for of_one in parts for part in of_one]


def possible(lowest, gap, slack, k):
    """Yield (places, columns): the columns (m, width) in which the k smallest values of the rows at `places` can be.

    lowest: (rows, n); a value lies between lowest[i, j] and lowest[i, j] + gap[j] + slack[i]. -1 fills up columns.
    """
    rows, n = lowest.shape
    # k columns are below the k-th smallest minimum of groups of columns: nearly as low a bar, in less time.
    minima = lowest[:, : n - n % GROUP].reshape(rows, GROUP, -1).min(axis=1) if n >= 4 * GROUP * k else lowest
    bar = np.partition(minima, k - 1, axis=1)[:, k - 1] + gap.max() + slack
    place, column = np.divmod(np.flatnonzero(lowest <= bar[:, None]), n)
    counts = np.bincount(place, minlength=rows)
    many = counts > 8 * k  # apart from the others, which they would make wide
    for of in (~many, many):
        if of.any():
            inside = of[place]
            number = np.arange(inside.sum()) - np.repeat(np.cumsum(counts[of]) - counts[of], counts[of])
            columns = np.full((of.sum(), counts[of].max()), -1)
            columns[(np.cumsum(of) - 1)[place[inside]], number] = column[inside]
            yield np.flatnonzero(of), fewest(columns, lowest[of], gap, slack[of], k)


def fewest(columns, lowest, gap, slack, k):
    """Return the `columns` (m, width) again, without those that cannot be among the k smallest of any row."""
    low = np.where(columns < 0, np.inf, np.take_along_axis(lowest, columns, axis=1))
    bar = np.partition(low + gap[columns], k - 1, axis=1)[:, k - 1] + slack
    width = (low <= bar[:, None]).sum(axis=1).max()
    return np.take_along_axis(columns, np.argpartition(low, width - 1, axis=1)[:, :width], axis=1)


def measure(points, pairs):
    """Return the squared distances (m, width), float64, of each of `pairs` (rows, near), by differences.

    rows: (m,), near: (m, width) indices of points. From norms and products those of near points would cancel.
    """
    squares = [np.zeros(near.shape) for _, near in pairs]
    add_squares = kernel(sum(len(rows) for rows, _ in pairs) * points.shape[1])
    for values in pieces(points):
        for (rows, near), own in zip(pairs, squares, strict=True):
            add_squares(values, rows, near, own)
    return squares


def kernel(work):
    """Return the function that adds squares for so many values of points, whose number alone decides the rounding."""
    return add_squares if work < WORTH_NUMBA else compiled().add_squares


def compiled():
    """Return the module of compiled functions, set to the threads that the job was given."""
    from actdim.neighbors import compiled

    compiled.set_num_threads(min(matmul.cores(), compiled.THREADS_AT_MOST))
    return compiled


def add_squares(values, rows, near, squares):
    """Add the squared distances over the columns of `values` to `squares`, in numpy."""
    height = max(1, 2**20 // near[0].size // values.shape[1])
    for top in range(0, len(rows), height):
        part = slice(top, top + height)
        difference = values[near[part]] - values[rows[part], None]
        squares[part] += np.einsum("ijk,ijk->ij", difference, difference)


def nearest(rows, near, squares, k):
    """Return the k nearest (indices, distances) of every row's points `near`, sorted by distance, then index."""
    order = np.argsort(near, axis=1)
    near, squares = (np.take_along_axis(values, order, axis=1) for values in (near, squares))
    distances = np.where(near == rows[:, None], np.inf, np.sqrt(squares)).astype(np.float32)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, axis=1), np.take_along_axis(distances, order, axis=1)
