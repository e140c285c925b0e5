"""The inner loop of the exact search, compiled by numba: squared distances from each point to some others."""

import numpy as np

from actdim.threads import import_numba

numba = import_numba()

GROUP = 16  # columns that are compared at once
CACHE_VALUES = 5_000_000  # float32 values that a processor's last cache holds


@numba.njit(parallel=True, fastmath=True, cache=True)
def add_squared_differences(values, rows, others, sums):
    """Add the squared differences between rows of `values` and others, over its columns, to `sums`.

    values: (n, columns); rows: (m,) and others: (m, width), indices of rows of `values`; sums: (m, width) float64.
    One thread makes each sum, so that the number of threads does not change it.
    """
    width = max(64, CACHE_VALUES // len(values))
    for left in range(0, values.shape[1], width):
        right = min(left + width, values.shape[1])
        for i in numba.prange(len(rows)):
            x = values[rows[i], left:right]
            for j in range(others.shape[1]):
                y = values[others[i, j], left:right]
                total = x[0] - x[0]
                for column in range(len(x)):
                    difference = x[column] - y[column]
                    total += difference * difference
                sums[i, j] += total


@numba.njit(parallel=True, fastmath=True, cache=True)
def center_and_sum(values, origin, first, signs, shifts, sums, squares):
    """Subtract the origin from some columns of the points, add them to the sums of a sketch, and square their norms.

    values: (n, columns) float32, changed; origin: (columns,); first: the index of the first column; signs: (features,)
    float32 and shifts: (blocks,), see sketch.py; sums: (n, m) float32, added to; squares: (n,) float64, added to.
    One thread makes each row, so that the number of threads does not change it.
    """
    m = sums.shape[1]
    for i in numba.prange(len(values)):
        total = np.float64(0)
        left = 0
        while left < values.shape[1]:
            block, place = divmod(first + left, m)
            target = place + shifts[block]
            if target >= m:
                target -= m
            right = min(values.shape[1], left + m - max(place, target))
            part = np.float32(0)
            for j in range(right - left):
                centered = values[i, left + j] - origin[left + j]
                values[i, left + j] = centered
                part += centered * centered
                sums[i, target + j] += signs[first + left + j] * centered
            total += part
            left = right
        squares[i] += total


@numba.njit(nogil=True, cache=True)
def keep_smallest(products, norms, first, values, columns, counts, bounds, kept):
    """Add to the lists of each row those columns of a tile whose value may be among the `kept` smallest.

    products: (rows, width) float32, norms: (width,); a column's value is the sum of both; first: index of the first
    column. values (rows, room) float32 and columns (rows, room) int32: the lists, of counts (rows,) entries; they are
    cut to `kept` when full. bounds: (rows,) float32, no smaller than the largest of the `kept` smallest so far.
    """
    groups, room = products.shape[1] // GROUP, values.shape[1]
    minima, scratch, nowhere = np.empty(groups, np.float32), np.empty(groups, np.float32), np.empty(groups, np.int32)
    for i in range(len(products)):
        row, bound = products[i], bounds[i]
        minima[:] = np.float32(np.inf)
        for left in range(0, groups * GROUP, max(1, groups)):
            part, norms_of_part = row[left : left + groups], norms[left : left + groups]
            for g in range(groups):
                minima[g] = min(minima[g], part[g] + norms_of_part[g])
        if bound == np.inf and groups > 2 * kept:
            scratch[:] = minima
            bound = np.nextafter(cut_to_smallest(scratch, nowhere, kept), np.float32(np.inf))
        count = counts[i]
        for g in range(groups + 1):
            if g < groups and minima[g] >= bound:
                continue
            start, stop, step = (g, groups * GROUP, groups) if g < groups else (groups * GROUP, len(row), 1)
            for j in range(start, stop, step):
                value = row[j] + norms[j]
                if value < bound:
                    values[i, count], columns[i, count] = value, first + j
                    count += 1
                    if count == room:
                        bound = cut_to_smallest(values[i], columns[i], kept)
                        count = kept
        counts[i], bounds[i] = count, bound


@numba.njit(nogil=True, cache=True)
def cut_to_smallest(values, columns, kept):
    """Move the `kept` smallest values, and their columns, to the front; return the largest of them (quickselect)."""
    low, high, last = 0, len(values) - 1, kept - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                columns[i], columns[j] = columns[j], columns[i]
                i += 1
                j -= 1
        if last <= j:
            high = j
        elif last >= i:
            low = i
        else:
            break
    return values[last]


@numba.njit(nogil=True, cache=True)
def cut_lists(values, columns, counts, kept):
    """Move the `kept` smallest of the first counts[i] values of each row, and their columns, to the front."""
    for i in range(len(values)):
        cut_to_smallest(values[i, : counts[i]], columns[i, : counts[i]], kept)
