"""What a run ends with: which values the tables lack and why, and which points the estimates leave out as copies."""

import re
from pathlib import Path

from actdim.tables.files import read_csv

TABLES = ("id", "measures", "training")  # what summary.csv lacks is in id.csv, layer by layer
SHOWN = 4  # names in a list; further ones are counted


def describe_missing(folder):
    """Return lines that say which values the tables in a folder lack; none where nothing is missing."""
    tables = {name: read_csv(Path(folder) / f"{name}.csv", "study", "reason") for name in TABLES}
    lines = []
    for name, table in tables.items():
        missing = table.dropna(subset="reason")
        missing = missing.assign(reason=missing["reason"].astype(str).str.split("; ")).explode("reason")
        if name == "measures":
            missing = missing[~missing["reason"].str.startswith("ID of ")]
        missing = missing.assign(kind=missing["reason"].map(without_numbers))
        for (study, _), rows in missing.groupby(["study", "kind"], sort=False):
            count = f"{rows.index.nunique()} of {(table['study'] == study).sum()} rows of {name}.csv"
            lines.append(f"{study}: {count}{place_text(rows)}: {reason_text(rows)}")
    return ["Some values are missing; the column `reason` says why:", *lines] if lines else []


def describe_copies(folder):
    """Return a line for each study with exact copies of points, which estimates leave out; see neighbors/copies.py."""
    table = read_csv(Path(folder) / "id.csv", "study", "layer", "checkpoint", "n_points", "n_copies")
    lines = []
    for study, rows in table[table["n_copies"] > 0].groupby("study", sort=False):
        most = rows.loc[rows["n_copies"].idxmax()]
        count = f"{most['n_copies']:.0f} of {most['n_copies'] + most['n_points']:.0f} points"
        lines.append(
            f"{study}: exact copies of points are left out of the ID{place_text(rows)}: up to {count}, "
            f"layer {most['layer']} at {most['checkpoint']}; the column `n_copies` of id.csv counts them"
        )
    return lines


def without_numbers(reason):
    """Return a reason without its numbers."""
    return re.sub(r"\d[\d.]*", "#", reason)


def reason_text(rows):
    """Return the reason of rows of one kind: one of them where their numbers differ."""
    reasons = rows["reason"].unique()
    return reasons[0] if len(reasons) == 1 else f"{reasons[0]}, or other numbers"


def place_text(rows):
    """Return the layers, estimators and checkpoints of rows as text."""
    keys = [key for key in ("layer", "estimator", "checkpoint") if key in rows]
    return "".join(f", {key} {shorten(rows[key].dropna().unique())}" for key in keys)


def shorten(names):
    """Return the first names of a list, and how many more there are."""
    shown = " ".join(map(str, names[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
