"""Sign errors by environment (Dziugaite et al. 2020).

An environment is a set of pairs of runs whose settings differ in one axis alone. Its sign error is the weighted mean,
over its pairs, of (1 - sign(x - x') sign(y - y')) / 2: 0 where the measure orders all pairs as the target does, 1 where
it orders all the other way, 1/2 for a coin, for a constant measure, or for a pair tied in x. A measure is robust if its
*worst* environment has a small sign error, not only the mean.

A pair counts by how sure the sign of y - y' is. With n test samples, Hoeffding's inequality bounds the probability that
it is wrong by phi = 2 exp(-n d^2 / 2), d = |y - y'|; the weight is max(0, max(0, 1 - phi)^2 - 1/2), as in the authors'
code. It holds for targets that are means over the test samples of a quantity between 0 and 1, such as an accuracy, or
differ from one by what is fixed, such as the gap. Without n, every pair counts 1. Environments whose effective number
of pairs, (sum of weights)^2 / sum of squared weights, is below 12 are left out.

Which pairs are one environment: by `values`, all pairs between the same two values of an axis, whatever the other axes
are; by `settings`, all pairs between the same two settings, as in the paper, which has 25 of them from 5 seeds. With
fewer than 4 seeds no environment of the latter kind has 12 pairs.
"""

from typing import NamedTuple

import numpy as np

from actdim.tables.generalization.grid import draw_blocks
from actdim.tables.generalization.pairs import dense_ranks, group_matrix, number_groups, signs

FEWEST_PAIRS = 12
ENVIRONMENTS = ("values", "settings")


class SignErrors(NamedTuple):
    """The sign errors of a measure in the environments of a study."""

    axis: np.ndarray  # (E,): of each environment, the axis that varies
    ends: np.ndarray  # (E, 2): the indices of its two values
    rest: np.ndarray  # (E, A): the indices of the other axes' values, -1 for any
    pairs: np.ndarray  # (E,): effective number
    errors: np.ndarray  # (E, draws), turned by `direction`
    direction: int  # -1 if the measure goes against the target, so that the errors are of its negative; else 1


def sign_errors(grid, x, y, test_samples=None, environments="values"):
    """Return the SignErrors of a measure x and a target y of each run, (R,)."""
    first, second = np.triu_indices(len(grid.setting), 1)
    axis = one_axis(grid, first, second)
    first, second, axis = first[axis >= 0], second[axis >= 0], axis[axis >= 0]
    levels = grid.levels[grid.setting]
    ends = np.sort(np.stack([levels[first, axis], levels[second, axis]], axis=1), axis=1)
    rest = np.where(np.arange(len(grid.axes)) == axis[:, None], -1, levels[first])
    if environments == "values":
        rest = np.full_like(rest, -1)
    weights = pair_weights(np.abs(y[first] - y[second]), test_samples)
    groups = number_groups(np.column_stack([axis, ends, rest]), np.full(len(axis), True))
    sums = group_matrix(groups, len(groups))
    effective = effective_number(sums @ weights, sums @ weights**2)
    kept = effective >= FEWEST_PAIRS - 1e-9
    example = np.zeros(len(kept), int)
    example[groups] = np.arange(len(groups))  # any pair of each environment
    example = example[kept]

    x_signs, y_signs = (signs(dense_ranks(values[:, None]), first, second) for values in (x, y))
    wrong = (1 - x_signs * y_signs) / 2
    counts = grid.setting_counts[grid.setting] * grid.run_counts
    errors = np.full((kept.sum(), counts.shape[1]), np.nan)
    for block in draw_blocks(counts.shape[1], len(first)):
        drawn = counts[first, block] * counts[second, block] * weights[:, None]
        totals, wrongs = sums[kept] @ drawn, sums[kept] @ (drawn * wrong)
        errors[:, block] = np.where(totals > 0, wrongs / np.where(totals > 0, totals, 1), np.nan)
    direction = -1 if kept.any() and errors[:, 0].mean() > 0.5 else 1
    errors = errors if direction == 1 else 1 - errors
    return SignErrors(axis[example], ends[example], rest[example], effective[kept], errors, direction)


def one_axis(grid, first, second):
    """Return the axis in which the settings of two runs differ, -1 where they differ in none or in several."""
    differ = grid.levels[grid.setting[first]] != grid.levels[grid.setting[second]]
    return np.where(differ.sum(axis=1) == 1, differ.argmax(axis=1) if differ.shape[1] else -1, -1)


def pair_weights(difference, test_samples):
    """Return how much pairs count whose targets differ by so much; see the module's text."""
    if test_samples is None:
        return (difference > 0).astype(float)
    wrong = 2 * np.exp(-test_samples * difference**2 / 2)
    return np.maximum(0, np.maximum(0, 1 - wrong) ** 2 - 0.5)


def effective_number(total, total_squares):
    """Return the effective number of pairs of given sums of weights and of squared weights."""
    return np.where(total_squares > 0, total**2 / np.where(total_squares > 0, total_squares, 1), 0)
