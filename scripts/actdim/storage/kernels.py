"""Loops over stored activations, compiled by numba: float16 to float32, and row checksums (see layer_reader.py)."""

import numpy as np

from actdim.threads import import_numba

numba = import_numba()

# The exponent of a float16 counts from -15, that of a float32 from -127. Bits moved from one to the other as they are
# make a value 2^112 times too small.
BETWEEN_EXPONENTS = 2.0**112


@numba.njit(nogil=True, cache=True)
def row_checksum(bits, first):
    """Return the checksum (uint64) of a row's bits (columns,), unsigned; `first` is its first column's index."""
    checksum = np.uint64(0)
    for j in range(len(bits)):
        checksum += np.uint64(bits[j]) * np.uint64(2 * (first + j) + 1)
    return checksum


@numba.njit(nogil=True, cache=True)
def row_checksums(bits, first):
    """Return the checksums (n,) uint64 of rows of bits (n, columns), unsigned; `first` is the first column's index."""
    checksums = np.zeros(len(bits), np.uint64)
    for i in range(len(bits)):
        checksums[i] = row_checksum(bits[i], first)
    return checksums


@numba.njit(parallel=True, cache=True)
def widen_float16(half_bits, values, checksums, first):
    """Convert float16 to float32; NumPy takes ten times as long where half of the values are zero, as after a ReLU.

    half_bits: (n, columns) uint16, the bits of the float16 values; values: (n, columns) float32, the result.
    checksums: (n,) uint64, for the rows' checksums, `first` being the first column's index; (0,) to leave them out.
    """
    bits = values.view(np.uint32)
    for i in numba.prange(len(half_bits)):
        if len(checksums):
            checksums[i] = row_checksum(half_bits[i], first)  # now, while the row is in the processor's cache
        for j in range(half_bits.shape[1]):
            half = np.uint32(half_bits[i, j])
            special = np.uint32(0x70000000) if half & 0x7C00 == 0x7C00 else np.uint32(0)  # infinity and NaN
            bits[i, j] = (half & 0x7FFF) << 13 | (half & 0x8000) << 16 | special
        for j in range(half_bits.shape[1]):
            values[i, j] *= np.float32(BETWEEN_EXPONENTS)
