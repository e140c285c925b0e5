"""The table of correlations of LLID and PID with regularization and accuracy, by sweep."""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from actdim.tables.columns import ALL_RUNS, ID_MEASURES
from actdim.tables.rows import last_checkpoint, same_setting
from actdim.tables.sweeps import sweeps

EXACT = 8  # settings up to which p counts all permutations, 40,320


def correlations_table(summary, settings):
    """Return Pearson's and Spearman's r and p at each study's last checkpoint, for each sweep and all runs of a split.

    r is over runs. p is of the means over the seeds of each setting, because seeds are no independent settings; up to
    EXACT settings it counts all permutations. A correlation of fewer than three runs, or with a constant, is empty, and
    p is empty for fewer than three settings.
    """
    rows = []
    for (study, split, estimator), runs in summary.groupby(["study", "split", "estimator"], sort=False):
        runs = last_checkpoint(runs)
        place = {"estimator": estimator, "checkpoint": runs["checkpoint"].iloc[0]}
        for sweep, setting, swept in [*sweeps(runs, settings), (ALL_RUNS, None, runs)]:
            pairs = [(setting, y) for y in [*ID_MEASURES, "validation_accuracy"]] if setting else []
            for x, y in [*pairs, *((measure, "validation_accuracy") for measure in ID_MEASURES)]:
                correlation = correlate(swept[x], swept[y], same_setting(swept))
                rows.append({"study": study, "sweep": sweep, **place, "x": x, "y": y, **correlation, "split": split})
    return pd.DataFrame(rows)


def correlate(x, y, settings=None):
    """Return Pearson's and Spearman's r and p of two columns over the rows in which both have a value.

    settings: (rows,) numbers, the same for rows of one setting; None: all differ.
    """
    both = x.notna() & y.notna()
    x, y = x[both].astype(float), y[both].astype(float)
    settings = np.arange(len(both)) if settings is None else np.asarray(settings)
    means = [values.groupby(settings[both]).mean().to_numpy() for values in (x, y)]
    result = dict.fromkeys(["pearson_r", "pearson_p", "spearman_r", "spearman_p"])
    if len(x) >= 3 and x.nunique() > 1 and y.nunique() > 1:
        for name, test in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
            result[f"{name}_r"], result[f"{name}_p"] = test(x, y).statistic, p_value(test, *means)
    return {**result, "n": len(x), "n_settings": len(means[0])}


def p_value(test, x, y):
    """Return the two-sided p of a correlation of the means of settings, exact for few; None where there is none."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    if len(x) > EXACT:
        return test(x, y).pvalue
    if test is stats.spearmanr:
        x, y = stats.rankdata(x), stats.rankdata(y)
    x, y = x - x.mean(), y - y.mean()
    products = np.array([*itertools.permutations(y)]) @ x
    return float(np.mean(np.abs(products) >= np.abs(x @ y) * (1 - 1e-9)))
