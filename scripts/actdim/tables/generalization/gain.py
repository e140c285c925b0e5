"""The cross-fitted gain of predicting a target from settings and measure over settings alone.

The rank of y is predicted by ridge regression, each setting by a model of the other settings only. The gain is
1 - (squared error with the measure) / (squared error without): above 0 where the measure tells more than the settings
did, below 0 where it only adds noise.

The model of the settings has a free effect of every value of every axis, a line and a parabola along each axis of
numbers, and products of the axes' lines; that of the measure, a line and a parabola in its rank. The penalty is the one
under which the settings alone predict best.

Leaving setting i out of a ridge regression with weights c and penalty P needs no second fit: with A = X'CX + P and
h_i = x_i' A^-1 x_i, its error is e_i / (1 - c_i h_i), e_i the error of the fit to all settings.
"""

from itertools import combinations

import numpy as np
from pandas.api.types import is_number

from actdim.tables.generalization.correlations import level_effects, weighted_ranks
from actdim.tables.generalization.grid import draw_blocks

PENALTIES = 10.0 ** np.arange(-2, 3)  # of columns of variance 1


def cross_fitted_gain(grid, x, y):
    """Return the gain in every draw, (draws,), from the ranks of x and y, (S, draws); nan where y is constant."""
    counts = grid.setting_counts.T
    target, measure = (scaled_ranks(ranks, grid.setting_counts) for ranks in (y, x))
    settings = settings_design(grid)
    errors = [left_out_error(settings[None], target[:1], counts[:1], penalty)[0] for penalty in PENALTIES]
    penalty = PENALTIES[np.argmin(errors)]
    gains = []
    for block in draw_blocks(len(counts), settings.size):
        shared = np.broadcast_to(settings, (len(counts[block]), *settings.shape))
        curve = (measure[block] ** 2 - 1) * 5**0.5 / 2  # of variance 1 for ranks without ties
        with_measure = np.concatenate([shared, measure[block, :, None], curve[:, :, None]], axis=2)
        alone, together = (
            left_out_error(design, target[block], counts[block], penalty) for design in (shared, with_measure)
        )
        gains.append(np.where(alone > 1e-12, 1 - together / np.where(alone > 1e-12, alone, 1), np.nan))
    return np.concatenate(gains)


def settings_design(grid):
    """Return the design (S, k) of the settings, its columns of mean 0 and variance 1 but for an intercept."""
    lines = [axis_scores(grid, axis) for axis in range(len(grid.axes))]
    numbers = [line[:, 0] for line in lines if line.shape[1] == 1]
    curves = [line**2 for line in numbers if len(np.unique(line)) > 2]
    products = [a * b for one, other in combinations(lines, 2) for a in one.T for b in other.T]
    columns = np.column_stack([level_effects(grid)[:, 1:], *numbers, *curves, *products])
    columns = (columns - columns.mean(axis=0)) / np.where(columns.std(axis=0) > 0, columns.std(axis=0), 1)
    return np.column_stack([np.ones(len(columns)), columns])


def axis_scores(grid, axis):
    """Return the ranks of an axis' values between -1 and 1, (S, 1), or, where they are not numbers, (S, values - 1)."""
    levels, values = grid.levels[:, axis], grid.values[axis]
    present = np.unique(levels)
    if len(present) == 2 or all(is_number(values[level]) for level in present):
        return (2 * np.searchsorted(present, levels) / (len(present) - 1) - 1)[:, None]
    return (levels[:, None] == present[1:]).astype(float)


def scaled_ranks(ranks, counts):
    """Return dense ranks (S, draws) about 0 and, were there no ties, of variance 1, as (draws, S)."""
    return (weighted_ranks(ranks, counts) * 12**0.5 / np.maximum(counts.sum(axis=0), 1)).T


def left_out_error(design, target, counts, penalty):
    """Return the mean squared error, (draws,), of predicting each setting from the others by ridge regression.

    design: (draws, S, k), its first column the intercept, which is not penalized; target, counts: (draws, S).
    """
    weighted = counts[:, :, None] * design
    penalties = np.full(design.shape[2], penalty)
    penalties[0] = 1e-9
    moments = np.swapaxes(weighted, 1, 2) @ design + np.diag(penalties)
    solved = np.linalg.solve(moments, np.swapaxes(design, 1, 2))  # (draws, k, S)
    leverage = np.einsum("dsk,dks->ds", design, solved)
    coefficients = np.einsum("dks,ds->dk", solved, counts * target)
    fitted = np.einsum("dsk,dk->ds", design, coefficients)
    left_out = (target - fitted) / np.maximum(1 - counts * leverage, 1e-9)
    return (counts * left_out**2).sum(axis=1) / np.maximum(counts.sum(axis=1), 1)
