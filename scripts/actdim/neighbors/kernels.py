"""The inner loop of the exact search, compiled by numba: squared distances from each point to some others."""

from actdim.threads import import_numba

numba = import_numba()

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
