#!/usr/bin/env python
"""Gather the metrics of every training into one table.

The checkpoint folders of train.py are read from standard input, one per line; there may be none.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from actdim import cli
from actdim.storage.json_files import read_json
from actdim.storage.working_folder import repair_advice
from actdim.tables.columns import settings_in_order
from actdim.tables.files import read_csv, write_csv


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True, type=Path, help="the table")
    arguments = parser.parse_args()

    tables, settings = [], {}
    for folder in map(Path, sys.stdin.read().split()):
        run = read_json(folder / "run.json", repair_advice(folder))
        unit = run["unit"][:-1]
        metrics = read_csv(folder / "metrics.csv", unit, remedy=repair_advice(folder))
        metrics = metrics.rename(columns={unit: "checkpoint"})
        tables.append(with_reasons(metrics).assign(study=run["study"], **run["chosen"]))
        settings.update(run["chosen"])
    table = pd.concat(tables or [pd.DataFrame(columns=["study", "seed", "checkpoint", "reason"])], ignore_index=True)
    first = ["study", *settings_in_order(settings), "checkpoint"]
    others = [column for column in table if column not in (*first, "reason")]
    write_csv(table[[*first, *others, "reason"]], arguments.output)


def with_reasons(table):
    """Return the metrics of a run without those that are not finite; the column `reason` says why they are missing."""
    metrics = [column for column in table if column.endswith(("_loss", "_error"))]
    missing = ~np.isfinite(table[metrics].astype(float))
    named = missing.apply(lambda row: ", ".join(column.replace("_", " ") for column in row.index[row]), axis=1)
    reasons = (named + " not finite: training diverged").where(missing.any(axis=1))
    reasons = table["reason"].fillna(reasons) if "reason" in table else reasons  # train.py says it where it knows
    return table.assign(**table[metrics].mask(missing), reason=reasons)


if __name__ == "__main__":
    cli.run(main)
