"""Read the activations of a layer from an HDF5 file, and check all that is read against checksums.

A file of ours stores a checksum for each row of a layer. With b_j the bits of the row's value in column j, read as an
unsigned integer,

    checksum = sum over j of (2 j + 1) b_j    modulo 2^64.

The weights are odd, so a change of any one value changes the checksum; they differ, so exchanging two values does, too.
The checksum is a sum over columns, so a layer can be read a few columns at a time and still be checked.
"""

import os
import sys

import numpy as np

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE
from actdim.storage.hdf5 import reading_error


class StoredLayer:
    """The activations (n, features) of a layer in an open HDF5 file, checked as they are read.

    Rows are read by indexing, layer[rows], all of them also by np.asarray(layer); columns by `float_columns`. Both
    raise UserError where the checksums of what they read differ from those stored, or where HDF5 cannot read it.

    path: of the file, for messages; data: the h5py.Dataset; checksums: (n,) uint64, or None for a file from elsewhere,
    which has none.
    """

    def __init__(self, path, data, checksums):
        self.path, self.data, self.checksums = path, data, checksums
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.source = data.external[0][0] if data.external else None  # the file in which the values lie, if another
        self.needs_check = checksums is not None  # until all values were read and found right

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, rows):
        if isinstance(rows, tuple):
            raise IndexError("a stored layer is indexed by rows alone; float_columns reads columns")
        values = self.read(lambda: self.data[rows])
        if self.needs_check:
            self.check(row_checksums(np.atleast_2d(values)), rows)
        return values

    def read_columns(self, columns, memory):
        """Read a slice of the columns of all rows into an array (n, columns), without a check."""
        self.read(lambda: self.data.read_direct(memory, np.s_[:, columns]))

    def read(self, function):
        """Return what a function reads from the file; raise UserError where HDF5 cannot read it."""
        try:
            return function()
        except OSError as error:
            if self.source and not os.path.exists(self.source):
                raise UserError(f"{self.source}: no such file, and {self.path} refers to its values") from None
            raise reading_error(f"{self.path}: {self.data.name}", error, self.checksums is not None) from None

    def check(self, checksums, rows=np.s_[:]):
        """Raise UserError where checksums, over all columns, of some rows differ from those stored."""
        if not np.array_equal(checksums, np.atleast_1d(self.checksums[rows])):
            if self.source:
                raise UserError(f"{self.source}: has changed since {self.path} was made of it; run snakemake again")
            raise UserError(f"{self.path}: {self.data.name} is corrupt: checksum mismatch; {REMAKE}")
        if isinstance(rows, slice) and rows == np.s_[:]:
            self.needs_check = False


def float_columns(points, slices):
    """Yield the columns of points in each of some slices, as floats (n, columns).

    points: (n, features), a StoredLayer, an open HDF5 data set or an array; slices: of columns, which follow each other
    and cover all. The values are float64 where the points are, else float32, in memory that the caller may change and
    that the next step overwrites.
    Raises UserError where a StoredLayer is corrupt; it is checked once, before its last columns are yielded.
    """
    n, width = len(points), max(columns.stop - columns.start for columns in slices)
    float_type = np.dtype(np.float64 if points.dtype == np.float64 else np.float32)
    as_float = np.empty(n * width, dtype=float_type)
    as_stored = as_float if points.dtype == float_type else np.empty(n * width, dtype=points.dtype)
    needs_check = isinstance(points, StoredLayer) and points.needs_check
    checksums = np.zeros(n, dtype=np.uint64)
    for columns in slices:
        shape = n, columns.stop - columns.start
        stored, values = (memory[: shape[0] * shape[1]].reshape(shape) for memory in (as_stored, as_float))
        if isinstance(points, StoredLayer):
            points.read_columns(columns, stored)
        else:
            np.copyto(stored, points[:, columns])
        if needs_check:
            checksums += widen(stored, values, columns.start)
            if columns.stop == points.shape[1]:
                points.check(checksums)
        else:
            widen(stored, values)
        yield values


def widen(stored, values, first=None):
    """Convert stored values (n, columns) to float32 or float64, into `values` (n, columns), which may be the same.

    first: index of the first column, to return the rows' checksums (n,) uint64 as well; None to leave them out.
    """
    if stored.dtype == np.float16 and numba_is_loaded():
        from actdim.storage import kernels

        checksums = np.empty(0 if first is None else len(stored), dtype=np.uint64)
        kernels.widen_float16(stored.view(np.uint16), values, checksums, first or 0)
        return checksums
    checksums = None if first is None else row_checksums(stored, first)
    if not np.may_share_memory(stored, values):
        np.copyto(values, stored)
    return checksums


def row_checksums(values, first=0):
    """Return the checksums (n,) uint64 of rows of values (n, columns) of any float type.

    first: index of the first of the columns. The checksums of several groups of columns add up to that of them all.
    """
    bits = values.view(f"u{values.dtype.itemsize}")
    if numba_is_loaded():
        from actdim.storage import kernels

        return kernels.row_checksums(bits, first)
    weights = np.arange(2 * first + 1, 2 * (first + bits.shape[1]), 2, dtype=np.uint64)
    return np.einsum("ij,j->i", bits, weights, dtype=np.uint64, casting="unsafe")


def numba_is_loaded():
    """Tell whether the program uses numba anyway; reading alone is not worth the half second of its import."""
    return "numba" in sys.modules
