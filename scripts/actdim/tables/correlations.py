"""Correlations of LLID and PID with regularization and accuracy, by sweep."""

import pandas as pd
from scipy import stats

from actdim.tables.columns import ALL_RUNS, MEASURES
from actdim.tables.rows import last_checkpoint
from actdim.tables.sweeps import sweeps


def correlations_table(summary, settings):
    """Return Pearson's and Spearman's r and p, at each study's last checkpoint, for each sweep and all runs of a split.

    A correlation of fewer than three runs, or with a constant, is empty.
    """
    rows = []
    for (study, split, estimator), part in summary.groupby(["study", "split", "estimator"], sort=False):
        part = last_checkpoint(part)
        for name, key, runs in [*sweeps(part, settings), (ALL_RUNS, None, part)]:
            strength = [(key, y) for y in [*MEASURES, "validation_accuracy"]] if key else []
            for x, y in [*strength, *((measure, "validation_accuracy") for measure in MEASURES)]:
                of = {"study": study, "sweep": name, "estimator": estimator, "checkpoint": part.checkpoint.iloc[0]}
                rows.append({**of, "x": x, "y": y, **correlate(runs[x], runs[y]), "split": split})
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
