"""Which columns of a table are settings, seed, measures and targets, and whether their content is as it should be."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from actdim.errors import UserError
from actdim.tables.columns import CHECKPOINT_METRICS, TARGETS
from actdim.tables.measures import MEASURE_COLUMNS

STUDY, SEED, CHECKPOINT, LOSS = "study", "seed", "checkpoint", "train_loss"
# Columns of measures.csv that are neither settings nor measures.
OTHER = {STUDY, SEED, CHECKPOINT, "estimator", "reason", *CHECKPOINT_METRICS, *TARGETS, *MEASURE_COLUMNS}


class Columns(NamedTuple):
    """What the columns of a table of measures are."""

    settings: list[str]
    measures: list[str]
    targets: list[str]


def tell_columns(table, settings=None, measures=None, targets=None):
    """Return the Columns of a table; those that are not named are told by what this project writes.

    Measures are the project's own measures, targets the validation accuracy and the generalization gap. Settings are
    the columns between `study` and `checkpoint` or, without a checkpoint, all that remain.
    Raises UserError for a name that is no column or in two roles, and where no measure or target is found.
    """
    if measures is None:
        measures = [name for name in MEASURE_COLUMNS if name in table and name not in (targets or [])]
    if targets is None:
        targets = [name for name in TARGETS if name in table and name not in measures]
    if not measures:
        raise UserError("no column is a measure of this project; name measures with --measure")
    if not targets:
        raise UserError(f"no column {' or '.join(TARGETS)}; name targets with --target")
    if settings is None:
        settings = remaining(table, {*measures, *targets})
    columns = Columns(list(settings), list(measures), list(targets))
    named = [STUDY, SEED, CHECKPOINT, *(name for names in columns for name in names)]
    if absent := [name for names in columns for name in names if name not in table]:
        raise UserError(f"no column {', '.join(absent)}; there are {', '.join(table.columns)}")
    if twice := [name for name in dict.fromkeys(named) if named.count(name) > 1]:
        raise UserError(f"column {', '.join(twice)}: named twice; a column is a setting, a measure or a target")
    return columns


def remaining(table, taken):
    """Return the columns that are taken for settings."""
    names = list(table.columns)
    if CHECKPOINT in names and names.index(CHECKPOINT) > names.index(STUDY):
        names = names[names.index(STUDY) + 1 : names.index(CHECKPOINT)]
        return [name for name in names if name != SEED and name not in taken]
    return [name for name in names if name not in OTHER | taken]


def check_runs(table, columns):
    """Return the table with its measures, targets and checkpoints as numbers; UserError where it cannot be used.

    A value that is missing or not finite is nan. Lines are counted as in the file, whose line 1 is the header.
    """
    if table.empty:
        raise UserError("no rows")
    if table[STUDY].isna().any():
        raise UserError(f"line {line_of(table[STUDY].isna())}: no study")
    table = table.astype({STUDY: str})
    numbers = [*columns.measures, *columns.targets, *(name for name in (CHECKPOINT, LOSS) if name in table)]
    for name in dict.fromkeys(numbers):
        table[name] = as_numbers(table[name])
    if CHECKPOINT not in table:
        table[CHECKPOINT] = 0.0
    if table[CHECKPOINT].isna().any():
        raise UserError(f"line {line_of(table[CHECKPOINT].isna())}: no checkpoint")
    keys = [STUDY, *columns.settings, *([SEED] if SEED in table else []), CHECKPOINT]
    again = table.duplicated(keys, keep="first")
    if again.any():
        same = (table[keys].eq(table.loc[again.idxmax(), keys]) | table[keys].isna()).all(axis=1) & ~again
        key = ", ".join(f"{name} {table.loc[again.idxmax(), name]}" for name in keys)
        raise UserError(f"lines {line_of(same)} and {line_of(again)}: the same run twice ({key})")
    return table


def as_numbers(column):
    """Return a column as floats, nan where it is empty or not finite."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    text = numbers.isna() & column.notna()
    text &= column.astype(str).str.lower() != "nan"
    if text.any():
        raise UserError(f"line {line_of(text)}, column {column.name}: {column[text].iloc[0]!r} is not a number")
    return numbers.where(np.isfinite(numbers))


def line_of(mask):
    """Return the line of a CSV file that holds the first row of a mask."""
    return int(np.flatnonzero(mask)[0]) + 2
