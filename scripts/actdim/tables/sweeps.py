"""Sweeps: runs in which one setting alone varies."""

import pandas as pd
from pandas.api.types import is_bool, is_numeric_dtype


def sweeps(summary, settings):
    """Yield (name, setting, rows) for every sweep of a study: runs in which one setting alone varies.

    summary: the rows of one study. A sweep has three values of its setting or more; it is named after the
    setting, and where several sweeps vary the same one, after what they hold fixed too. A setting that the model
    of some runs lacks is empty in their rows, and as good a value to hold fixed as any.
    """
    varied = varying(summary, settings)
    for key in filter(lambda key: is_numeric_dtype(summary[key]), varied):
        others = [other for other in varied if other != key]
        groups = [((), summary)] if not others else summary.groupby(others, dropna=False)
        long = [(fixed, rows) for fixed, rows in groups if rows[key].nunique() >= 3]
        for fixed, rows in long:
            held = ", ".join(f"{other}={value_text(value)}" for other, value in zip(others, fixed, strict=True))
            yield (f"{key} at {held}" if len(long) > 1 else key), key, rows


def configurations(rows, settings):
    """Return (name, function that selects its rows from a table) for every combination of settings but the seed."""
    varied = varying(rows, settings)
    if not varied:
        return [("all runs", lambda table: table)]

    def selector(values):
        values = list(values)
        return lambda table: table[((table[varied] == values) | (table[varied].isna() & pd.isna(values))).all(axis=1)]

    return [
        (
            ", ".join(
                f"{key.replace('_', ' ')} {value_text(value)}" for key, value in zip(varied, values, strict=True)
            ),
            selector(values),
        )
        for values in rows[varied].drop_duplicates().itertuples(index=False, name=None)
    ]


def varying(rows, settings):
    """Return the settings, but the seed, that differ between rows."""
    return [key for key in settings if key != "seed" and rows[key].nunique() > 1]


def value_text(value):
    """Return a setting's value as a reader would write it; none for an empty one."""
    if pd.isna(value):
        return "none"
    if is_bool(value):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"
