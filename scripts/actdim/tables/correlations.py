"""The table of correlations of LLID and PID with regularization and accuracy, by sweep."""

import pandas as pd
from scipy import stats

from actdim.tables.columns import ALL_RUNS, ID_MEASURES
from actdim.tables.rows import last_checkpoint
from actdim.tables.sweeps import sweeps


def correlations_table(summary, settings):
    """Return Pearson's and Spearman's r and p at each study's last checkpoint, for each sweep and all runs of a split.

    They are empty for fewer than three runs, or where a variable is constant.
    """
    rows = []
    for (study, split, estimator), runs in summary.groupby(["study", "split", "estimator"], sort=False):
        runs = last_checkpoint(runs)
        place = {"estimator": estimator, "checkpoint": runs["checkpoint"].iloc[0]}
        for sweep, setting, swept in [*sweeps(runs, settings), (ALL_RUNS, None, runs)]:
            pairs = [(setting, y) for y in [*ID_MEASURES, "validation_accuracy"]] if setting else []
            for x, y in [*pairs, *((measure, "validation_accuracy") for measure in ID_MEASURES)]:
                correlation = correlate(swept[x], swept[y])
                rows.append({"study": study, "sweep": sweep, **place, "x": x, "y": y, **correlation, "split": split})
    return pd.DataFrame(rows)


def correlate(x, y):
    """Return Pearson's and Spearman's correlation of two columns over the rows in which both have a value."""
    both = x.notna() & y.notna()
    x, y = x[both].astype(float), y[both].astype(float)
    result = dict.fromkeys(["pearson_r", "pearson_p", "spearman_r", "spearman_p"])
    if len(x) >= 3 and x.nunique() > 1 and y.nunique() > 1:
        for name, test in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
            result[f"{name}_r"], result[f"{name}_p"] = test(x, y)
    return {**result, "n": len(x)}
