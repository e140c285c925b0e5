"""How well each measure goes with generalization over the runs of a study, with bootstrap intervals."""

import functools

import numpy as np
import pandas as pd
from scipy import stats

from actdim.tables.columns import ALL_RUNS, settings_in
from actdim.tables.measures import MEASURE_COLUMNS
from actdim.tables.rows import last_checkpoint
from actdim.tables.sweeps import sweeps

TARGETS = ["validation_accuracy", "generalization_gap"]


FEWEST = 3  # runs that have a correlation


FEWEST_RESAMPLED = 6  # runs that have an interval: 4 unrelated ones are in perfect order 2 times in 24, 6 in 720


RESAMPLES = 2_000


INTERVAL = [2.5, 97.5]  # percentiles


def predictors_table(measures):
    """Return the correlations of each measure with each target: by study, over all its runs and within each sweep.

    measures: the table measures.csv. A measure counts at the last checkpoint of a study at which a run has a value of
    it, with the target at that checkpoint. Sweeps are those of tables.sweeps.
    """
    rows = []
    for study, part in measures.groupby("study", sort=False):
        for measure in MEASURE_COLUMNS:
            runs = last_checkpoint(part[part["checkpoint"].isin(part.loc[part[measure].notna(), "checkpoint"])])
            at = {"checkpoint": runs["checkpoint"].max() if len(runs) else None}
            groups = [(ALL_RUNS, runs), *((name, some) for name, _, some in sweeps(runs, settings_in(runs)))]
            for (sweep, some), target in ((group, target) for group in groups for target in TARGETS):
                of = {"study": study, "sweep": sweep, "measure": measure, "target": target, **at}
                rows.append({**of, **correlations(some[measure], some[target])})
    return pd.DataFrame(rows).astype({"checkpoint": "Int64"})


def correlations(x, y):
    """Return n, Pearson's and Spearman's r and Kendall's tau-b of two columns, each with its 95 % interval.

    They are over the n runs in which both are finite. Empty: all for fewer than 3 such runs or a constant, the
    intervals for fewer than 6.
    """
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both].to_numpy(float), y[both].to_numpy(float)
    kinds = ["pearson_r", "spearman_r", "kendall_tau"]
    result = {"n": len(x), **dict.fromkeys(name for kind in kinds for name in (kind, *ends_of(kind)))}
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return result
    tests = [stats.pearsonr, stats.spearmanr, stats.kendalltau]
    result.update({kind: test(x, y).statistic for kind, test in zip(kinds, tests, strict=True)})
    if len(x) >= FEWEST_RESAMPLED:
        for kind, values in zip(kinds, resampled(x, y, resamples(len(x))), strict=True):
            result.update(zip(ends_of(kind), np.nanpercentile(values, INTERVAL), strict=True))
    return result


def ends_of(kind):
    """Return the names of the ends of a correlation's interval: pearson_low, pearson_high."""
    name = kind.partition("_")[0]
    return f"{name}_low", f"{name}_high"


@functools.cache
def resamples(n):
    """Return how often each of n runs is in each resample with replacement: (2000, n), always the same."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)


def resampled(x, y, counts):
    """Return Pearson's and Spearman's r and Kendall's tau-b in every resample, as scipy.stats defines them.

    x, y: (n,) values; counts: (resamples, n) how often each is in a resample. Returns (3, resamples), nan where a
    variable is constant. No resample is written out: with the signs s of all differences, tau-b is c's c / 2 pairs of
    a kind, and s c / 2 the ranks (of ties their mean), less their mean.
    """
    signs = [np.sign(values[:, None] - values) for values in (x, y)]
    centered = [values - (counts @ values / len(values))[:, None] for values in (x, y)]
    ranks = [counts @ of.T for of in signs]
    untied = [pairs(of**2, counts) for of in signs]
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = pairs(signs[0] * signs[1], counts) / np.sqrt(untied[0] * untied[1])
        values = np.stack([weighted(*centered, counts), weighted(*ranks, counts), tau])
    return np.where((untied[0] > 0) & (untied[1] > 0), np.clip(values, -1, 1), np.nan)


def pairs(kind, counts):
    """Return the sum of a matrix (n, n) over the ordered pairs of runs in every resample."""
    return ((counts @ kind) * counts).sum(axis=1)


def weighted(x, y, counts):
    """Return the correlation of centered values (resamples, n) that count as often as they are in each resample."""
    covariance, x_variance, y_variance = ((counts * a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y)))
    return covariance / np.sqrt(x_variance * y_variance)
