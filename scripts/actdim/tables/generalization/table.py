"""The tables of generalization: each measure of a study against each target, by axis, by environment, and compared."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from actdim.tables.generalization.columns import CHECKPOINT, LOSS, SEED, STUDY
from actdim.tables.generalization.grid import RESAMPLES, make_grid
from actdim.tables.generalization.intervals import adjust, interval, p_value
from actdim.tables.generalization.judgment import NO_RELATION, SIGNED, judge, resamples_of

COMPARED = (*SIGNED, "cmi", "gain", "sign_error_mean", "sign_error_max")


class Tables(NamedTuple):
    """The four tables."""

    generalization: pd.DataFrame
    axes: pd.DataFrame
    environments: pd.DataFrame
    comparisons: pd.DataFrame


class Options(NamedTuple):
    """How the runs of a study are judged."""

    trained_to: float | None = None  # training loss; runs that end above it are left out
    test_samples: int | None = None  # on which the targets were measured; see sign_errors
    environments: str = "values"  # see sign_errors
    resamples: int = RESAMPLES


def generalization_tables(table, columns, options=None):
    """Return the Tables of all studies.

    table: a row for each run and checkpoint, checked (see columns.check_runs). columns: its Columns.
    options: {study: Options}; a study that is missing has the defaults. A measure counts at the last checkpoint of the
    study at which a run has it; where `trained_to` is given, at the last checkpoint of each run.
    """
    rows, axes, environments, comparisons = [], [], [], []
    for study, of_study in table.groupby(STUDY, sort=False):
        for target in columns.targets:
            judged = judge_measures(of_study, columns, target, (options or {}).get(study, Options()))
            places = [{"study": study, "measure": measure, "target": target} for measure in columns.measures]
            of_target = [{**place, **judgment.row} for place, judgment in zip(places, judged, strict=True)]
            for statistic in NO_RELATION:
                adjust_rows(of_target, f"{statistic}_q")
            rows += of_target
            axes += [{**place, **row} for place, judgment in zip(places, judged, strict=True) for row in judgment.axes]
            environments += [
                {**place, **row}
                for place, judgment in zip(places, judged, strict=True)
                for row in judgment.environments
            ]
            comparisons += compare(places, judged)
    return Tables(
        pd.DataFrame(rows).astype({"checkpoint": "Int64"}),
        as_table(axes, "axis", "psi", "sign_error", "n_pairs"),
        as_table(environments, "axis", "environment", "sign_error", "n_effective_pairs"),
        as_table(comparisons, "other", "statistic", "difference", "difference_low", "difference_high", "difference_q"),
    )


def as_table(rows, *columns):
    """Return rows as a table; one without rows has the columns that its readers need."""
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["study", "measure", "target", *columns])


def adjust_rows(rows, column):
    """Adjust the p-values in a column of rows for their number."""
    for row, adjusted in zip(rows, adjust([row[column] for row in rows]), strict=True):
        row[column] = adjusted


def judge_measures(rows, columns, target, options):
    """Return the Judgment of every measure of a study against a target."""
    settings = [name for name in columns.settings if rows[name].nunique(dropna=False) > 1]
    run = number_runs(rows, settings)
    grid = make_grid(rows[~pd.Series(run).duplicated().to_numpy()], settings, options.resamples)
    trained, grids, judged = is_trained(rows, run, options.trained_to), {}, []
    for measure in columns.measures:
        counted = trained & rows[measure].notna().to_numpy()
        counted &= is_last(rows[CHECKPOINT], counted, run if options.trained_to is not None else np.zeros_like(run))
        x, y, loss = (values_by_run(rows.get(name), run, counted) for name in (measure, target, LOSS))
        valid = np.isfinite(x) & np.isfinite(y)
        if valid.tobytes() not in grids:
            grids[valid.tobytes()] = grid.restrict(valid)
        judgment = judge(
            grids[valid.tobytes()], x[valid], y[valid], loss[valid], options.test_samples, options.environments
        )
        counts = {"checkpoint": rows[CHECKPOINT][counted].max(), "n_untrained": len(set(run[~trained]))}
        judged.append(judgment._replace(row={**counts, **judgment.row}))
    return judged


def number_runs(rows, settings):
    """Return the run of each row, (rows,), numbered in order of their first rows: its settings and its seed."""
    keys = [*settings, *([SEED] if SEED in rows else [])]
    return rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy() if keys else np.zeros(len(rows), int)


def is_trained(rows, run, loss):
    """Tell, for each row, whether its run ends with a training loss of at most `loss`; every run where it is None."""
    if loss is None:
        return np.full(len(rows), True)
    last = is_last(rows[CHECKPOINT], np.full(len(rows), True), run)
    return np.isin(run, run[last & (rows[LOSS] <= loss).to_numpy()])


def is_last(checkpoints, counted, groups):
    """Tell, for each row, whether it is at the last checkpoint of the rows that count in its group."""
    return (checkpoints == checkpoints.where(counted).groupby(groups).transform("max")).to_numpy()


def values_by_run(column, run, counted):
    """Return a column's values by run, (R,), from the rows that count; nan for a run without one, or no column."""
    values = np.full(run.max() + 1, np.nan)
    if column is not None:
        values[run[counted]] = column[counted]
    return values


def compare(places, judged):
    """Return a row for every two measures and statistic: the difference of the statistic, with its interval.

    Statistics that have a sign are compared by size, each in the direction that it has in the data.
    """
    rows = []
    for statistic in COMPARED:
        known = [place for place, judgment in enumerate(judged) if np.isfinite(judgment.draws[statistic][0])]
        of_statistic = []
        for first, second in combinations(known, 2):
            difference = strength(judged[first], statistic) - strength(judged[second], statistic)
            resampled = resamples_of(difference, min(judged[place].row["n_settings"] for place in (first, second)))
            low, high = interval(resampled)
            of_statistic.append(
                {
                    **places[first],
                    "other": places[second]["measure"],
                    "statistic": statistic,
                    "difference": difference[0],
                    "difference_low": low,
                    "difference_high": high,
                    "difference_q": p_value(resampled),
                }
            )
        adjust_rows(of_statistic, "difference_q")
        rows += of_statistic
    return rows


def strength(judgment, statistic):
    """Return a statistic in every draw, turned such that it is positive in draw 0 if it has a sign."""
    values = judgment.draws[statistic]
    return values * (-1 if statistic in SIGNED and values[0] < 0 else 1)
