"""What the tables lack, in a few lines: one for each kind of reason, with how many and where."""

import re
from pathlib import Path

from actdim.tables.files import read_csv

TABLES = ("id", "measures", "training")  # what summary.csv lacks is in id.csv, layer by layer


SHOWN = 4  # names; of more, the others are counted


def missing(folder):
    """Return lines that say what the tables in a folder have no value of; none where nothing is missing."""
    tables = {name: read_csv(Path(folder) / f"{name}.csv", "study", "reason") for name in TABLES}
    lines = []
    for name, table in tables.items():
        lost = table.dropna(subset="reason")
        lost = lost.assign(reason=lost["reason"].astype(str).str.split("; ")).explode("reason")
        if name == "measures":
            lost = lost[~lost["reason"].str.startswith("ID of ")]
        lost = lost.assign(kind=lost["reason"].map(kind_of))
        for (study, _), rows in lost.groupby(["study", "kind"], sort=False):
            count = f"{rows.index.nunique()} of {(table['study'] == study).sum()} rows of {name}.csv"
            lines.append(f"{study}: {count}{places(rows)}: {reason(rows)}")
    return ["Values are missing where there can be none; the column `reason` says why:", *lines] if lines else []


def kind_of(text):
    """Return a reason without its numbers."""
    return re.sub(r"\d[\d.]*", "#", text)


def reason(rows):
    """Return the reason of rows of one kind: an example where their numbers differ."""
    texts = rows["reason"].unique()
    return texts[0] if len(texts) == 1 else f"{texts[0]}, or other numbers"


def places(rows):
    """Return the layers, estimators and checkpoints of rows, as text."""
    parts = [
        f", {key} {few(rows[key].dropna().unique())}" for key in ("layer", "estimator", "checkpoint") if key in rows
    ]
    return "".join(parts)


def few(names):
    """Return the first of some names, and how many more there are."""
    shown = " ".join(map(str, names[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
