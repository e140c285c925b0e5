"""Which layers are stored as float16: those in which rounding is small compared with the spread.

With x a value of a batch of a layer, r(x) the float16 nearest to it, and m the mean of its feature over the batch, a
layer is stored as float16 where, in sums over all values of each batch,

    sum of (r(x) - x)^2  <=  MAX_LOSS * sum of (x - m)^2,

so that the root mean square of rounding is at most 1/1000 of the spread's, and where no value overflows. Where all
values are tiny, or lie close together far from 0, rounding would move points past each other.
"""

from typing import NamedTuple

import numpy as np
import torch

MAX_LOSS = 1e-6
LARGEST_FLOAT16 = 65504
CACHE_VALUES = 1 << 18  # float32 values that a processor's cache holds


class StoredBatch(NamedTuple):
    """The output of a layer on a batch, as it is to be stored."""

    values: torch.Tensor  # (n, ...), float16 or float32, on the CPU
    fits: bool  # whether these values may stand for the output


def as_float32(output):
    """Return the StoredBatch of a layer's output (n, ...) in float32, a copy."""
    return StoredBatch(output.to("cpu", torch.float32, copy=True), True)


def as_float16(output, values):
    """Return the StoredBatch of a layer's output (n, ...) in float16, a copy; see above for whether it fits.

    values: (n, features) float32, the output in its `in_memory_order`. Values that are infinite already lose nothing;
    the sums leave them out.
    """
    half = output.to(torch.float16, copy=True)
    rounded = in_memory_order(half)
    if surely_fits(values):
        return StoredBatch(half.cpu(), True)
    loss, spread = loss_and_spread(values, rounded)
    if not np.isfinite([loss, spread]).all():
        infinite = ~values.isfinite()
        loss, spread = loss_and_spread(values.masked_fill(infinite, 0), rounded.masked_fill(infinite, 0))
    return StoredBatch(half.cpu(), bool(np.isfinite(loss) and loss <= MAX_LOSS * spread))


def surely_fits(values):
    """Tell with little work whether values (n, features) float32 fit float16 for sure, as most layers' do.

    Rounding moves a value by at most 2^-11 of itself, or by 2^-25 where it is tiny. The spread is the sum of squares
    less that of the means; it is known well enough where this bound is small compared with it.
    """
    squares, sums = 0, 0
    for block in row_blocks(values):
        squares, sums = squares + block.flatten() @ block.flatten(), sums + block.sum(0)
    spread = squares - sums @ sums / len(values)
    largest_loss = 2**-22 * squares + 2**-50 * values.numel()
    return bool((squares < LARGEST_FLOAT16**2) & (largest_loss < MAX_LOSS * spread))


def loss_and_spread(values, rounded):
    """Return the two sums of squares that decide, of rounding errors and about the features' means, as floats.

    values: (n, features) float32; rounded: the same as float16.
    """
    origin = values[0]  # subtracting it first keeps digits where all values lie far from 0
    sums = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    totals = torch.zeros(2, dtype=torch.float64, device=values.device)
    for block, rounded_block in zip(row_blocks(values), row_blocks(rounded), strict=True):
        error, shifted = (rounded_block.float() - block).flatten(), block - origin
        sums += shifted.sum(0)
        totals += torch.stack([error @ error, shifted.flatten() @ shifted.flatten()])
    loss, squares = totals.tolist()
    return loss, squares - (sums.square().sum() / len(values)).item()


def in_memory_order(output):
    """Return an output (n, ...) as (n, features), the features in the order in which they lie in memory, uncopied."""
    channels_last = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    return (output.movedim(1, -1) if channels_last else output).flatten(1)


def row_blocks(values):
    """Return (n, features) in blocks of rows that fit a processor's cache, which is fast; undivided on a GPU."""
    return values.split(len(values) if values.is_cuda else max(1, CACHE_VALUES // values.shape[1]))
