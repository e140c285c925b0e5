"""The runs of one study: which setting each has, what the settings vary, and how often each resample draws them.

Resampling has two stages. A resample draws S settings with replacement, and for each setting as many of its runs, one
a seed, as it has. It is stored as counts: how often each setting is drawn, and how often each run within its setting.
A setting that is drawn twice counts twice, both times with the same runs. A setting is never paired with itself.
"""

import functools
from dataclasses import dataclass

import numpy as np

from actdim.tables.generalization.pairs import dense_ranks

RESAMPLES = 1_000
BLOCK = 1_000_000  # numbers of an array; of the arrays of all draws some would take gigabytes


@dataclass(frozen=True, eq=False)
class Grid:
    """The settings and runs of a study; draw 0 has every count 1."""

    axes: list[str]  # names of what varies, (A)
    values: list[list]  # the values of each axis, in order
    levels: np.ndarray  # (S, A): the index of each setting's value of each axis
    setting: np.ndarray  # (R,): the setting of each run
    setting_counts: np.ndarray  # (S, draws)
    run_counts: np.ndarray  # (R, draws): of each run within its setting

    @functools.cached_property
    def pairs(self):
        """Return (left, right): the settings of each pair of different settings, left < right."""
        return np.triu_indices(len(self.levels), 1)

    @functools.cached_property
    def pair_axis(self):
        """Return, for each pair of settings, the one axis in which they differ, or -1 where they differ in several."""
        left, right = self.pairs
        differ = self.levels[left] != self.levels[right]
        return np.where(differ.sum(axis=1) == 1, differ.argmax(axis=1), -1)

    def pair_counts(self, draws):
        """Return how often each pair of settings is in some draws, (pairs, draws)."""
        left, right = self.pairs
        counts = self.setting_counts[:, draws].astype(np.float32)
        return counts[left] * counts[right]

    def ranks(self, values):
        """Return the dense ranks (S, draws) of the settings in every draw, by the mean value of their runs.

        values: (R,). Where a draw has none of the runs of a setting, its mean is that of draw 0; its count is 0 there.
        """
        member = self.setting == np.arange(len(self.levels))[:, None]
        totals, counts = member @ (self.run_counts * values[:, None]), member @ self.run_counts
        means = totals / np.where(counts == 0, 1, counts)
        return dense_ranks(np.where(counts == 0, means[:, :1], means))

    def restrict(self, valid):
        """Return the grid of some of the runs only: valid (R,) tells which."""
        kept, setting = np.unique(self.setting[valid], return_inverse=True)
        run_counts = self.run_counts[valid]
        drawn = (setting == np.arange(len(kept))[:, None]) @ run_counts > 0
        varied = [axis for axis in range(len(self.axes)) if len(set(self.levels[kept, axis])) > 1]
        return Grid(
            [self.axes[axis] for axis in varied],
            [self.values[axis] for axis in varied],
            self.levels[kept][:, varied],
            setting,
            self.setting_counts[kept] * drawn,
            run_counts,
        )


def draw_blocks(draws, values):
    """Return slices of so many draws such that arrays of `values` numbers for each draw stay small."""
    size = max(1, BLOCK // max(1, values))
    return [slice(start, start + size) for start in range(0, draws, size)]


def make_grid(runs, settings, resamples=RESAMPLES):
    """Return the Grid of the runs of a study, one row each.

    settings: the columns that tell settings apart; those that do not vary are no axes. The resamples are always the
    same for the same number of runs of each setting.
    """
    coded = [ordered_codes(runs[name]) for name in settings]
    coded = [(name, *codes) for name, codes in zip(settings, coded, strict=True) if len(codes[0]) > 1]
    codes = np.array([codes for _, _, codes in coded]).T.reshape(len(runs), len(coded))
    levels, setting = np.unique(codes, axis=0, return_inverse=True)
    setting = setting.ravel()
    if not coded:
        levels, setting = np.empty((1, 0), int), np.zeros(len(runs), int)
    counts = draw_counts(setting, len(levels), resamples)
    return Grid([name for name, *_ in coded], [values for _, values, _ in coded], levels, setting, *counts)


def ordered_codes(column):
    """Return (values, codes): the different values of a column, sorted, an empty one last, and each cell's index."""
    values = list(column.dropna().unique())
    try:
        values.sort()
    except TypeError:  # numbers and texts
        values.sort(key=str)
    codes = column.map({value: code for code, value in enumerate(values)})
    return [*values, *([None] if column.isna().any() else [])], codes.fillna(len(values)).astype(int).to_numpy()


def draw_counts(setting, n_settings, resamples):
    """Return (setting counts (S, draws), run counts (R, draws)); see the module's text."""
    rng = np.random.default_rng(0)
    settings = np.ones((n_settings, resamples + 1))
    runs = np.ones((len(setting), resamples + 1))
    settings[:, 1:] = rng.multinomial(n_settings, np.full(n_settings, 1 / n_settings), size=resamples).T
    for index in range(n_settings):
        members = np.flatnonzero(setting == index)
        share = np.full(len(members), 1 / len(members))
        runs[members, 1:] = rng.multinomial(len(members), share, size=resamples).T
    return settings, runs
