"""pynndescent, with its compiled code kept on disk between processes.

pynndescent compiles itself anew in every process, half a minute for a search of a second, because numba cannot
find again on disk a function that takes a function: it knows such an argument by an id drawn per process. Here
every function of pynndescent gets a fixed id, so that numba's own cache works, and the two that only call others,
which numba cannot cache, run as the plain Python that they are. The neighbors are the same, bit for bit.
"""

import importlib
import os
import sys
import uuid

import numpy as np

THREADS = 4  # of pynndescent, on however many cores: its result depends on it, not on the cores
THREADS_AT_MOST = max(THREADS, os.cpu_count())
os.environ["NUMBA_NUM_THREADS"] = str(THREADS_AT_MOST)  # which numba reads when it is imported

import numba  # noqa: E402
from numba import set_num_threads  # noqa: E402, F401
from numba.core.caching import NullCache  # noqa: E402
from numba.core.dispatcher import Dispatcher  # noqa: E402

CACHED = 5_000_000  # values that fit a processor's cache


def nn_descent_class():
    """Return pynndescent's NNDescent, ready to be used from the cache."""
    package = importlib.import_module("pynndescent")
    release = f"{package.__version__} {numba.__version__}"
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "pynndescent":
            for function in vars(module).values():
                if isinstance(function, Dispatcher) and function.py_func.__module__ == name:
                    keep_on_disk(function, release)
    core = importlib.import_module("pynndescent.pynndescent_")
    core.nn_descent = getattr(core.nn_descent, "py_func", core.nn_descent)
    core.nn_descent_internal = getattr(core.nn_descent_internal, "py_func", core.nn_descent_internal)
    return package.NNDescent


def keep_on_disk(function, release):
    """Give a compiled function an id that changes with the release only, and make numba keep it."""
    if not function._MemoMixin__uuid:
        identity = f"{release} {function.py_func.__module__}.{function.py_func.__qualname__}"
        function._set_uuid(str(uuid.uuid5(uuid.NAMESPACE_OID, identity)))
    if isinstance(function._cache, NullCache):
        function.enable_caching()


@numba.njit(parallel=True, fastmath=True, cache=True)
def add_squares(values, rows, near, squares):
    """Add the squared distances over the columns of `values` to `squares`; see exact.measure.

    values: (n, columns), rows: (m,), near: (m, width), squares: (m, width). Each sum is made by one thread.
    """
    width = max(64, CACHED // len(values))
    for left in range(0, values.shape[1], width):
        right = min(left + width, values.shape[1])
        for i in numba.prange(len(rows)):
            x = values[rows[i], left:right]
            for j in range(near.shape[1]):
                y = values[near[i, j], left:right]
                total = x[0] - x[0]
                for column in range(len(x)):
                    difference = x[column] - y[column]
                    total += difference * difference
                squares[i, j] += total


@numba.njit(nogil=True, cache=True)
def weighted_sum(bits, first):
    """Return the sum of unsigned values (columns,), weighted; see layers.row_checksums."""
    total = np.uint64(0)
    for j in range(len(bits)):
        total += np.uint64(bits[j]) * np.uint64(2 * (first + j) + 1)
    return total


@numba.njit(parallel=True, cache=True)
def widen_half(halves, singles, sums, first):
    """Copy the bits of float16 values (n, columns) uint16 to float32 values of the same shape.

    numpy does it branch by branch, ten times as slowly where half of the values are zero, as behind a ReLU.
    sums: (n,) uint64 for what weighted_sums returns of them, `first` being their first column; (0,) for nothing.
    """
    bits = singles.view(np.uint32)
    for i in numba.prange(len(halves)):
        if len(sums):
            sums[i] = weighted_sum(halves[i], first)  # when the row is in the cache anyway
        for j in range(halves.shape[1]):
            half = np.uint32(halves[i, j])
            special = np.uint32(0x70000000) if half & 0x7C00 == 0x7C00 else np.uint32(0)  # infinite, or not a number
            bits[i, j] = (half & 0x7FFF) << 13 | (half & 0x8000) << 16 | special
        for j in range(halves.shape[1]):
            singles[i, j] *= np.float32(2.0**112)  # between the two exponents' zeros


@numba.njit(nogil=True, cache=True)
def weighted_sums(bits, first):
    """Return the sums (n,) uint64 of unsigned values (n, columns), weighted; see layers.row_checksums."""
    sums = np.zeros(len(bits), np.uint64)
    for i in range(len(bits)):
        sums[i] = weighted_sum(bits[i], first)
    return sums
