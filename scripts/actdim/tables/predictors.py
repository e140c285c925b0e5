"""The table of predictors: how each measure correlates with generalization over the runs of a study.

Intervals are percentiles of a bootstrap over settings, each with all its seeds. The resamples are not written out: each
is a vector of counts, how often it draws each run, and all correlations are computed from the counts of all resamples
at once.
"""

import functools

import numpy as np
import pandas as pd
from scipy import stats

from actdim.tables.columns import ALL_RUNS, TARGETS, settings_in
from actdim.tables.measures import MEASURE_COLUMNS
from actdim.tables.rows import last_checkpoint, same_setting
from actdim.tables.sweeps import sweeps

CORRELATIONS = {"pearson_r": stats.pearsonr, "spearman_r": stats.spearmanr, "kendall_tau": stats.kendalltau}

FEWEST = 3  # runs for a correlation
FEWEST_RESAMPLED = 6  # settings for an interval: 4 unrelated ones are in perfect order 2 times in 24, 6 ones in 720
RESAMPLES = 2_000
INTERVAL = [2.5, 97.5]  # percentiles


def predictors_table(measures):
    """Return the correlations of each measure with each target: by study, over all its runs and within each sweep.

    measures: the table measures.csv. A measure and the target are taken at the last checkpoint of a study at which a
    run has a value of the measure.
    """
    rows = []
    for study, rows_of_study in measures.groupby("study", sort=False):
        for measure in MEASURE_COLUMNS:
            measured = rows_of_study.loc[rows_of_study[measure].notna(), "checkpoint"]
            runs = last_checkpoint(rows_of_study[rows_of_study["checkpoint"].isin(measured)])
            checkpoint = runs["checkpoint"].max() if len(runs) else None
            groups = [(ALL_RUNS, runs), *((name, swept) for name, _, swept in sweeps(runs, settings_in(runs)))]
            for sweep, group in groups:
                place = {"study": study, "sweep": sweep, "measure": measure}
                for target in TARGETS:
                    correlation = correlations(group[measure], group[target], same_setting(group))
                    rows.append({**place, "target": target, "checkpoint": checkpoint, **correlation})
    return pd.DataFrame(rows).astype({"checkpoint": "Int64"})


def correlations(x, y, settings=None):
    """Return n, n_settings, Pearson's and Spearman's r and Kendall's tau-b of two columns, each with a 95 % interval.

    n is the number of runs in which both are finite; others are left out. settings: (runs,), see same_setting; None if
    all differ. An interval resamples settings, each with all its seeds, because seeds of one setting are not
    independent settings. All are empty for fewer than 3 runs or a constant, the intervals for fewer than 6 settings.
    """
    both = (np.isfinite(x) & np.isfinite(y)).to_numpy()
    x, y = x[both].to_numpy(float), y[both].to_numpy(float)
    settings = np.arange(len(both)) if settings is None else np.asarray(settings)
    of_setting, settings = np.unique(settings[both], return_inverse=True)
    result = {
        "n": len(x),
        "n_settings": len(of_setting),
        **dict.fromkeys(name for kind in CORRELATIONS for name in (kind, *interval_names(kind))),
    }
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return result
    result.update({kind: test(x, y).statistic for kind, test in CORRELATIONS.items()})
    if len(of_setting) >= FEWEST_RESAMPLED:
        resampled = correlations_of_resamples(x, y, draw_resamples(len(of_setting))[:, settings])
        for kind, values in zip(CORRELATIONS, resampled, strict=True):
            result.update(zip(interval_names(kind), np.nanpercentile(values, INTERVAL), strict=True))
    return result


def interval_names(kind):
    """Return the names of the ends of a correlation's interval: pearson_low, pearson_high."""
    name = kind.partition("_")[0]
    return f"{name}_low", f"{name}_high"


@functools.cache
def draw_resamples(n):
    """Return how often each of n settings is in each resample with replacement: (2000, n), the same each time."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)


def correlations_of_resamples(x, y, counts):
    """Return Pearson's and Spearman's r and Kendall's tau-b in every resample, as scipy.stats defines them.

    x, y: (n,) values; counts: (resamples, n), how often each is in a resample. Returns (3, resamples), nan where a
    variable is constant. With the signs s of all differences and the counts c, twice the number of concordant less
    discordant pairs is c's c, and c s / 2 are the ranks less their mean (the mean rank for ties).
    """
    signs = [np.sign(values[:, None] - values) for values in (x, y)]
    centered = [values - (counts @ values / counts.sum(axis=1))[:, None] for values in (x, y)]
    ranks = [counts @ sign.T for sign in signs]
    untied = [sum_over_pairs(sign**2, counts) for sign in signs]
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = sum_over_pairs(signs[0] * signs[1], counts) / np.sqrt(untied[0] * untied[1])
        values = np.stack([weighted_correlation(*centered, counts), weighted_correlation(*ranks, counts), tau])
    return np.where((untied[0] > 0) & (untied[1] > 0), np.clip(values, -1, 1), np.nan)


def sum_over_pairs(matrix, counts):
    """Return the sum of a matrix (n, n) over the ordered pairs of runs in every resample."""
    return ((counts @ matrix) * counts).sum(axis=1)


def weighted_correlation(x, y, counts):
    """Return Pearson's r of centered values (resamples, n), each counted as often as it is in the resample."""
    covariance, x_variance, y_variance = ((counts * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    return covariance / np.sqrt(x_variance * y_variance)
