"""Normalized conditional mutual information (Jiang et al. 2020).

For a pair of settings, V_x and V_y are the signs of the differences of x and of y, and U_S the values that both
settings have of a set S of axes. The statistic is I(V_x; V_y | U_S) / H(V_y | U_S): how much of the order in y the
order in x tells, once the values of S are known. The smallest over all S of at most two axes is `cmi`. It is 0 for a
measure that reflects one or two hyperparameters only, and 1 for the target itself.

Every ordered pair of different settings counts once, as the probabilities of the definition say, so a value u of U_S
counts by its number of pairs. The scorer of the PGDL competition counts all u alike, pairs each setting with itself,
and takes sets of exactly two axes.

Pairs tied in y are left out, because they have no order to tell. A pair tied in x counts half in either order. A set
under which no order of y is left to tell, such as all axes of a grid, is left out.

Because the pair (b, a) mirrors (a, b), it is enough to count unordered pairs, with V turned such that u runs from the
lower to the higher code. Where u has twice the same values, both orders are in one cell, and V is balanced in it. With
    A = sum of counts, B = sum of counts V_y, C = sum of counts V_x, D = sum of counts V_x V_y   (B = C = 0 if balanced)
the cell's table is n(V_y = p, V_x = q) = (A + p B + q C + p q D) / 4.
"""

from itertools import combinations

import numpy as np
from scipy import sparse, special

from actdim.tables.generalization.grid import draw_blocks
from actdim.tables.generalization.pairs import group_matrix, number_groups, signs

LARGEST_SET = 2


def conditional_information(grid, x, y):
    """Return (sets, their normalized conditional mutual information (sets, draws)); nan where nothing is left to tell.

    sets: tuples of axes' indices. x, y: ranks of the settings, (S, draws).
    """
    left, right = grid.pairs
    sets = [axes for size in range(LARGEST_SET + 1) for axes in combinations(range(len(grid.axes)), size)]
    members, turned, starts = conditioning_cells(grid, sets)
    ratios = np.full((len(sets), x.shape[1]), np.nan)
    if not len(left):
        return sets, ratios
    for block in draw_blocks(x.shape[1], len(left)):
        v_x, v_y = signs(x[:, block], left, right), signs(y[:, block], left, right)
        counts = grid.pair_counts(block) * np.abs(v_y)
        terms = [members @ counts, turned @ (counts * v_y), turned @ (counts * v_x), members @ (counts * v_x * v_y)]
        information, entropy = table_information(*(term.astype(float) for term in terms))
        information, entropy = (np.add.reduceat(values, starts, axis=0) for values in (information, entropy))
        ratios[:, block] = np.where(entropy > 1e-9, information / np.where(entropy > 1e-9, entropy, 1), np.nan)
    return sets, np.clip(ratios, 0, 1)


def conditioning_cells(grid, sets):
    """Return (members, turned, starts): sparse matrices (cells, pairs) of all sets, and each set's first cell.

    turned holds the sign with which V of a pair counts in its cell: 0 where both settings have the same values of S.
    """
    left, right = grid.pairs
    members, turned = [], []
    for axes in sets:
        codes = number_groups(grid.levels[:, axes], np.full(len(grid.levels), True))
        ends = np.sort(np.stack([codes[left], codes[right]], axis=1), axis=1)
        groups = number_groups(ends, np.full(len(left), True))
        members.append(group_matrix(groups, len(left)))
        turned.append(group_matrix(groups, len(left), np.sign(codes[right] - codes[left])))
    starts = np.cumsum([0, *(matrix.shape[0] for matrix in members[:-1])])
    return sparse.vstack(members, "csr"), sparse.vstack(turned, "csr"), starts


def table_information(total, by_y, by_x, by_both):
    """Return n I(V_x; V_y) and n H(V_y) of 2 x 2 tables that are given by A, B, C and D."""
    n_log_n = special.xlogy(total, total)
    rows = [(total + sign * by_y) / 2 for sign in (1, -1)]
    columns = [(total + sign * by_x) / 2 for sign in (1, -1)]
    cells = [(total + p * by_y + q * by_x + p * q * by_both) / 4 for p in (1, -1) for q in (1, -1)]
    joint, of_y, of_x = (sum(special.xlogy(n, n) for n in counts) for counts in (cells, rows, columns))
    return joint - of_y - of_x + n_log_n, n_log_n - of_y
