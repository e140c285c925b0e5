"""Which layers can be stored as float16: those in which rounding is small beside the spread."""

from typing import NamedTuple

import numpy as np
import torch

CACHED = 1 << 18  # values


LOST = 1e-6  # of a layer's spread, in squares, that rounding may take


class Kept(NamedTuple):
    """What a dump keeps of a layer's output on a batch."""

    values: torch.Tensor  # (n, ...), on the CPU
    fits: bool  # whether they hold what the output held


def whole_values(output):
    """Return a batch of a layer's activations (n, ...) as Kept in float32, on the CPU."""
    return Kept(output.to("cpu", torch.float32, copy=True), True)


def halve(output):
    """Return a batch of a layer's activations (n, ...) as Kept in float16, on the CPU.

    They fit where none overflows and rounding stays small: 1/1000 of the layer's spread. Where all values are tiny,
    or lie close together far from 0, rounding would move neighbors about. Values that are infinite already lose
    nothing.
    """
    half = output.to(torch.float16, copy=True)
    values, rounded = as_lying(output).float(), as_lying(half)
    if surely_fit(values):
        return Kept(half.cpu(), True)
    lost, spread = losses(values, rounded)
    if not np.isfinite([lost, spread]).all():
        infinite = ~values.isfinite()
        lost, spread = losses(values.masked_fill(infinite, 0), rounded.masked_fill(infinite, 0))
    return Kept(half.cpu(), bool(np.isfinite(lost) and lost <= LOST * spread))


def surely_fit(values):
    """Tell by little work of (n, features) float32 whether they are sure to fit float16, as most are; see `halve`.

    Rounding moves a value by 2^-11 of itself at most, or by 2^-25 where it is tiny; the largest is 65,504. The spread
    is known well enough where that makes little of it.
    """
    squares, sums = 0, 0
    for chunk in in_cache(values):
        squares, sums = squares + chunk.flatten() @ chunk.flatten(), sums + chunk.sum(0)
    spread = squares - sums @ sums / len(values)
    fit = (squares < 65504**2) & (2**-22 * squares + 2**-50 * values.numel() < LOST * spread)
    return bool(fit)


def as_lying(output):
    """Return (n, ...) as (n, features), the features as they lie in memory: channels last without a copy."""
    last = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    return (output.movedim(1, -1) if last else output).flatten(1)


def losses(output, half):
    """Return (the sum of squares that rounding loses, the sum of squares about each feature's mean) as floats.

    output: (n, features) float32; half: the same in float16.
    """
    origin = output[0]  # to subtract it first keeps digits where all values lie far from 0
    sums = torch.zeros(output.shape[1], dtype=torch.float64, device=output.device)
    totals = torch.zeros(2, dtype=torch.float64, device=output.device)
    for values, rounded in zip(in_cache(output), in_cache(half), strict=True):
        error, shifted = (rounded.float() - values).flatten(), values - origin
        sums += shifted.sum(0)
        totals += torch.stack([error @ error, shifted.flatten() @ shifted.flatten()])
    lost, squares = totals.tolist()
    return lost, squares - (sums.square().sum() / len(output)).item()


def in_cache(values):
    """Return (n, features) in pieces of some rows each, for what fits a cache is fast; whole on a GPU."""
    return values.split(len(values) if values.is_cuda else max(1, CACHED // values.shape[1]))
