#!/usr/bin/env python
"""Gather estimates into tables: every ID, LLID and PID of every run, and their correlations.

The paths of estimate_id's JSON files are read from standard input, one per line.
"""

import argparse
import sys
from pathlib import Path

from actdim import cli
from actdim.errors import UserError
from actdim.tables.columns import CHECKPOINT_METRICS, METRICS_REASON
from actdim.tables.correlations import correlations_table
from actdim.tables.files import write_csv
from actdim.tables.id import id_table
from actdim.tables.results import read_estimates
from actdim.tables.summary import summary_table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, type=Path, help="the table of every estimate")
    parser.add_argument("--summary", required=True, type=Path, help="the table of LLID and PID")
    parser.add_argument("--correlations", required=True, type=Path, help="the table of correlations")
    arguments = parser.parse_args()

    paths = sys.stdin.read().split()
    if not paths:
        raise UserError("standard input: should list estimate_id's JSON files")
    ids, settings = id_table(read_estimates(paths))
    summary = summary_table(ids, settings)
    hidden = ["feeds_classifier", "no_classifier_input", *CHECKPOINT_METRICS, METRICS_REASON]
    write_csv(ids.drop(columns=hidden), arguments.id)
    write_csv(summary, arguments.summary)
    write_csv(correlations_table(summary, settings), arguments.correlations)
    missing = ids[ids.id.isna()]
    print(f"{len(ids)} estimates of {len(paths)} files; {len(missing)} without a value")
    for (study, layer, reason), rows in missing.groupby(["study", "layer", "reason"]):
        print(f"no id: {study}, layer {layer}, {len(rows)} times: {reason}")


if __name__ == "__main__":
    cli.run(main)
