"""The cross-fitted gain of predicting a target from settings and measure over settings alone.

The ranks of y and of x are predicted from the settings by ridge regression, each setting from the others only, which
leaves errors e and d. The measure adds a line: e of a setting is predicted as b d, with b from the other settings. The
gain is 1 - sum (e - b d)^2 / sum e^2: above 0 where the measure tells more than the settings did, below 0 where it only
adds noise. (Regressing residuals on residuals is Robinson's partially linear model; to add the measure to the ridge
regression itself would shrink it as much as the settings, of which there are many more.)

The model of the settings has a free effect of every value of every axis, a line and a parabola along each axis of
numbers, and products of the axes' lines. Its penalty is the one under which it predicts y best. Each axis has a column
for every value: without one of them, the penalty would make the gain depend on which value it is.

Leaving setting i out of a ridge regression with weights c and penalty P needs no second fit: with A = X'CX + P and
h_i = x_i' A^-1 x_i, its error is that of the fit to all settings divided by 1 - c_i h_i.
"""

from itertools import combinations

import numpy as np
from pandas.api.types import is_number

from actdim.tables.generalization.correlations import level_effects, weighted_ranks
from actdim.tables.generalization.grid import draw_blocks

PENALTIES = 10.0 ** np.arange(-2, 3)  # of columns of variance 1
SMALLEST = 1e-9  # below which a sum of squares is 0


def cross_fitted_gain(grid, x, y):
    """Return the gain in every draw, (draws,), from the ranks of x and y, (S, draws); nan where y is constant."""
    counts = grid.setting_counts.T
    targets = np.stack([scaled_ranks(ranks, grid.setting_counts) for ranks in (y, x)], axis=2)
    settings = settings_design(grid)

    def errors(block, penalty):
        return left_out_errors(settings, targets[block], counts[block], penalty)

    penalty = min(PENALTIES, key=lambda size: (errors(slice(1), size)[..., 0] ** 2).sum())
    blocks = draw_blocks(len(counts), settings.size)
    return np.concatenate([gain_of_line(errors(block, penalty), counts[block]) for block in blocks])


def gain_of_line(errors, counts):
    """Return the gain, (draws,), of errors (draws, S, 2) of the target and of the measure."""
    target, measure = errors[..., 0], errors[..., 1]
    products, squares = counts * measure * target, counts * measure**2
    squares_of_others = squares.sum(axis=1, keepdims=True) - squares
    slopes = (products.sum(axis=1, keepdims=True) - products) / np.where(
        squares_of_others > SMALLEST, squares_of_others, np.inf
    )
    alone, together = ((counts * error**2).sum(axis=1) for error in (target, target - slopes * measure))
    return np.where(alone > SMALLEST, 1 - together / np.where(alone > SMALLEST, alone, 1), np.nan)


def settings_design(grid):
    """Return the design (S, k) of the settings, its columns of mean 0 and variance 1 but for an intercept."""
    lines = [axis_scores(grid, axis) for axis in range(len(grid.axes))]
    numbers = [line[:, 0] for line in lines if line.shape[1] == 1]
    curves = [line**2 for line in numbers if len(np.unique(line)) > 2]
    products = [a * b for first, second in combinations(lines, 2) for a in first.T for b in second.T]
    columns = np.column_stack([level_effects(grid)[:, 1:], *numbers, *curves, *products])
    columns = (columns - columns.mean(axis=0)) / np.where(columns.std(axis=0) > 0, columns.std(axis=0), 1)
    return np.column_stack([np.ones(len(columns)), columns])


def axis_scores(grid, axis):
    """Return the ranks of an axis' values between -1 and 1, (S, 1), or, where they are not numbers, (S, values)."""
    levels, values = grid.levels[:, axis], grid.values[axis]
    present = np.unique(levels)
    if len(present) == 2 or all(is_number(values[level]) for level in present):
        return (2 * np.searchsorted(present, levels) / (len(present) - 1) - 1)[:, None]
    return (levels[:, None] == present).astype(float)


def scaled_ranks(ranks, counts):
    """Return dense ranks (S, draws) about 0 and, were there no ties, of variance 1, as (draws, S)."""
    return (weighted_ranks(ranks, counts) * 12**0.5 / np.maximum(counts.sum(axis=0), 1)).T


def left_out_errors(design, targets, counts, penalty):
    """Return the errors (draws, S, m) of predicting the targets of each setting from the others by ridge regression.

    design: (S, k), its first column the intercept, which is not penalized; targets: (draws, S, m); counts: (draws, S).
    """
    penalties = np.full(design.shape[1], penalty)
    penalties[0] = SMALLEST
    moments = (counts[:, None, :] * design.T) @ design + np.diag(penalties)
    solved = np.linalg.solve(moments, np.broadcast_to(design.T, (len(counts), *design.T.shape)))  # (draws, k, S)
    leverage = np.einsum("sk,dks->ds", design, solved)
    fitted = design @ (solved @ (counts[..., None] * targets))
    return (targets - fitted) / np.maximum(1 - counts * leverage, SMALLEST)[..., None]
