"""The activations of a layer in an HDF5 file, checked as they are read.

Each row has a sum of its values' bits, weighted by column, modulo 2^64. The weights are odd, so that a change of one
value changes it, and unequal, so that to swap two does. It is linear: columns may be read and added up some at a time.
"""

import sys

import numpy as np

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE


class Layer:
    """Activations (n, features) in an open HDF5 file, of which to read rows, or all columns from left to right.

    Raises UserError where the sums of what was read are not those that are stored: of rows at once, of columns when
    the last of them is read; what was right is not looked at again. sums: (n,) uint64; None: there is nothing to
    check, in a file of someone else's.
    """

    def __init__(self, path, data, sums):
        self.path, self.data, self.sums = path, data, sums
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim
        self.right = sums is None
        self.added, self.column = 0, 0  # the sums of the columns to the left of `column`

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, place):
        return self.read(lambda: self.data[place], place)

    def read_columns(self, memory, part):
        """Read a slice of the columns of all rows into an array. It is the caller's to give their sums to `check`."""
        self.read_unchecked(lambda: self.data.read_direct(memory, np.s_[:, part]))

    def read(self, function, place):
        """Return the values (rows, columns) at a place, which the function reads; UserError where they are damaged."""
        values = self.read_unchecked(function)
        if not self.right:
            rows, columns = place if isinstance(place, tuple) else (place, slice(None))
            first, last, _ = columns.indices(self.shape[1])
            self.check(row_checksums(np.atleast_2d(values), first), rows, first, last)
        return values

    def read_unchecked(self, function):
        """Return what the function reads; UserError where it cannot."""
        try:
            return function()
        except OSError as error:
            raise UserError(f"{self.path}: {self.data.name} cannot be read ({error}); {REMAKE}") from None

    def check(self, sums, rows, first, last):
        """Compare the `row_checksums` of the columns from `first` to before `last` with those stored."""
        every = isinstance(rows, slice) and rows == slice(None)
        if first == 0 and last == self.shape[1]:
            self.compare(sums, self.sums[rows])
            self.right = every
        elif every and first in (0, self.column):
            self.added = sums + (self.added if first else 0)
            self.column = last
            if last == self.shape[1]:
                self.compare(self.added, self.sums)
                self.right = True
        else:
            raise IndexError("to be checked, activations are read row by row, or all columns from left to right")

    def compare(self, found, stored):
        """Raise UserError where sums differ."""
        if not np.array_equal(found, np.atleast_1d(stored)):
            raise UserError(f"{self.path}: {self.data.name} is damaged, for its checksums differ; {REMAKE}")


def row_checksums(values, first=0):
    """Return the sums (n,) uint64 of the bits of values (n, columns) of any float type; `first`: their first column."""
    bits = values.view(f"u{values.dtype.itemsize}")
    if "actdim.neighbors.compiled" in sys.modules:  # to import it takes longer than it saves
        return sys.modules["actdim.neighbors.compiled"].weighted_sums(bits, first)
    weights = np.arange(2 * first + 1, 2 * (first + bits.shape[1]), 2, dtype=np.uint64)
    return np.einsum("ij,j->i", bits, weights, dtype=np.uint64, casting="unsafe")
