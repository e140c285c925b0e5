"""Granulated Kendall coefficients (Jiang et al. 2020).

For each axis, the settings that differ in that axis alone form cells, and Kendall's tau of x and y is taken within
each. psi of an axis is the mean of tau over its cells, and psi the mean over axes. So a measure that reflects one
hyperparameter only has a psi of at most 1 / A, however large its correlation over all settings.

Tau is Kendall's tau-a, as in the paper: a pair that is tied in x or in y counts 0. With tau-b, cells in which the
measure is constant would drop out, and a measure that is constant along most axes would look better for it.
"""

import numpy as np

from actdim.tables.generalization.grid import draw_blocks
from actdim.tables.generalization.pairs import group_matrix, number_groups, signs


def granulated_kendall(grid, x, y):
    """Return psi of each axis, (A, draws), for the ranks of x and y, (S, draws); nan where an axis has no pair."""
    left, right = grid.pairs
    n_axes = len(grid.axes)
    cells, axis_of_cell = axis_cells(grid)
    psi = np.full((n_axes, x.shape[1]), np.nan)
    for block in draw_blocks(x.shape[1], len(left)):
        counts = grid.pair_counts(block)
        agreement = signs(x[:, block], left, right) * signs(y[:, block], left, right)
        pairs = cells @ counts
        tau = np.where(pairs > 0, cells @ (counts * agreement) / np.where(pairs > 0, pairs, 1), 0)
        for axis in range(n_axes):
            members = axis_of_cell == axis
            cells_drawn = (pairs[members] > 0).sum(axis=0)
            totals = tau[members].sum(axis=0, dtype=float)
            psi[axis, block] = np.where(cells_drawn > 0, totals / np.maximum(cells_drawn, 1), np.nan)
    return psi


def axis_cells(grid):
    """Return (matrix (cells, pairs) of group_matrix, the axis of each cell)."""
    left, _ = grid.pairs
    others = np.where(np.arange(len(grid.axes)) == grid.pair_axis[:, None], -1, grid.levels[left])
    groups = number_groups(others, grid.pair_axis >= 0)
    axis_of_cell = np.zeros(groups.max(initial=-1) + 1, int)
    axis_of_cell[groups[groups >= 0]] = grid.pair_axis[groups >= 0]
    return group_matrix(groups, len(left)), axis_of_cell
