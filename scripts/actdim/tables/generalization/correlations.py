"""Rank correlations over settings: Spearman's, and partial ones given the settings or given a covariate.

The partial Spearman correlation ranks x and y, takes from both what a linear model of the controls explains, and
correlates what is left. Settings are controlled by the level of every axis (a free effect of each value of each axis,
no interactions), because targets rise and fall along an axis, and so does a measure that only reflects it.
"""

import numpy as np

from actdim.tables.generalization.grid import draw_blocks

FEWEST_LEFT = 3  # dimensions of the residuals: with one, every correlation is -1 or 1


def spearman(grid, x, y):
    """Return Spearman's correlation in every draw, (draws,), from the ranks of x and y, (S, draws)."""
    return partial_spearman(grid, x, y, np.ones((1, len(x), 1)))


def partial_spearman_given_settings(grid, x, y):
    """Return the partial Spearman correlation, given the levels of all axes, from the ranks of x and y, (S, draws)."""
    return partial_spearman(grid, x, y, level_effects(grid)[None])


def partial_spearman_given(grid, x, y, covariate):
    """Return the partial Spearman correlation, given a covariate, from the ranks of all three, (S, draws)."""
    covariate = weighted_ranks(covariate, grid.setting_counts).T
    return partial_spearman(grid, x, y, np.stack([np.ones_like(covariate), covariate], axis=2))


def partial_spearman(grid, x, y, controls):
    """Return the correlation of the ranks of x and y less what the controls, (draws or 1, S, k), explain.

    nan where x or y is constant or explained completely, or fewer than FEWEST_LEFT dimensions are left.
    """
    ranks = [weighted_ranks(variable, grid.setting_counts).T for variable in (x, y)]
    counts = grid.setting_counts.T
    controls = np.broadcast_to(controls, (len(counts), *controls.shape[1:]))
    blocks = draw_blocks(len(counts), controls[0].size)
    return np.concatenate(
        [residual_correlation(*(part[block] for part in (*ranks, controls, counts))) for block in blocks]
    )


def residual_correlation(x, y, controls, counts):
    """Return the correlation of what is left of x and y, (draws, S); see partial_spearman."""
    basis, left = control_basis(controls, counts)
    x_left, y_left = (residuals(variable, counts, basis) for variable in (x, y))
    covariance, x_variance, y_variance = (
        (a * b).sum(axis=1) for a, b in ((x_left, y_left), (x_left, x_left), (y_left, y_left))
    )
    x_total, y_total = ((counts * variable**2).sum(axis=1) for variable in (x, y))
    defined = (left >= FEWEST_LEFT) & (x_variance > 1e-9 * x_total) & (y_variance > 1e-9 * y_total)
    return np.where(defined, covariance / np.sqrt(np.where(defined, x_variance * y_variance, 1)), np.nan)


def level_effects(grid):
    """Return the design (S, k) of a free effect of every value of every axis, with an intercept, which is redundant."""
    columns = [np.ones(len(grid.levels))]
    for axis in range(len(grid.axes)):
        columns += [grid.levels[:, axis] == level for level in np.unique(grid.levels[:, axis])]
    return np.column_stack(columns).astype(float)


def control_basis(controls, counts):
    """Return (orthonormal basis (draws, S, k) of the weighted controls, dimensions that they leave (draws,))."""
    basis, sizes, _ = np.linalg.svd(np.sqrt(counts)[:, :, None] * controls, full_matrices=False)
    used = sizes > 1e-9 * np.maximum(sizes[:, :1], 1e-300)
    return basis * used[:, None, :], (counts > 0).sum(axis=1) - used.sum(axis=1)


def residuals(values, counts, basis):
    """Return the weighted values, (draws, S), less their projection on a basis."""
    weighted = np.sqrt(counts) * values
    return weighted - np.einsum("dsk,dk->ds", basis, np.einsum("dsk,ds->dk", basis, weighted))


def weighted_ranks(ranks, counts):
    """Return dense ranks (S, draws) as ranks among settings that count so often, ties at their mean, about 0."""
    order = np.argsort(ranks, axis=0, kind="stable")
    ordered, weights = (np.take_along_axis(array, order, axis=0) for array in (ranks, counts))
    through = np.cumsum(weights, axis=0)
    places = np.arange(len(ranks))[:, None]
    new = np.diff(ordered, axis=0, prepend=-1) > 0
    first = np.maximum.accumulate(np.where(new, places, 0), axis=0)
    ends = np.concatenate([new[1:], np.full_like(new[:1], True)])
    last = np.minimum.accumulate(np.where(ends, places, len(ranks) - 1)[::-1], axis=0)[::-1]
    below = np.take_along_axis(through - weights, first, axis=0)
    centered = (below + np.take_along_axis(through, last, axis=0) - through[-1]) / 2
    result = np.empty_like(centered)
    np.put_along_axis(result, order, centered, axis=0)
    return result
