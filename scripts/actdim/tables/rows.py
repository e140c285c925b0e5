"""Rows that figures and other tables take from a table, and what they say together."""

import numpy as np

from actdim.tables.columns import settings_in


def join_reasons(reasons):
    """Return the reasons with the same index as one text, each once; empty ones are left out."""
    reasons = reasons.dropna()
    return reasons.groupby(level=list(range(reasons.index.nlevels)), sort=False).agg(join_once)


def join_once(texts):
    """Return texts, each of which may join several by semicolons, as one text that has each once."""
    return "; ".join(dict.fromkeys("; ".join(texts).split("; ")))


def shown_split(rows):
    """Return the rows of the validation split; without one of the training split; without that of the first split."""
    splits = rows["split"].tolist()
    return rows[rows["split"] == next((name for name in ("validation", "train", *splits) if name in splits), None)]


def last_checkpoint(rows):
    """Return the rows at the last checkpoint that any of them has."""
    return rows[rows["checkpoint"] == rows["checkpoint"].max()]


def same_setting(runs):
    """Return (runs,) numbers of their settings: the same for runs that differ in their seed alone."""
    settings = [name for name in settings_in(runs) if name != "seed"]
    if not settings:
        return np.zeros(len(runs), dtype=int)
    return runs.groupby(settings, dropna=False, sort=False).ngroup().to_numpy()
