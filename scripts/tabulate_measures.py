#!/usr/bin/env python
"""Gather every measure of every run and checkpoint into one table, with accuracies and losses.

The paths of the measures' result files are read from standard input, one per line; there may be none.
"""

import argparse
import sys
from pathlib import Path

from actdim import cli
from actdim.tables.columns import SUMMARY_COLUMNS
from actdim.tables.files import read_csv, write_csv
from actdim.tables.measures import MEASURE_COLUMNS, measures_table, read_measure


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", required=True, type=Path, help="the table of LLID and PID")
    parser.add_argument("--estimator", required=True, help="whose LLID and PID to take")
    parser.add_argument("--output", required=True, type=Path, help="the table")
    arguments = parser.parse_args()

    results = [read_measure(path) for path in sys.stdin.read().split()]
    table = measures_table(read_csv(arguments.summary, *SUMMARY_COLUMNS, "reason"), arguments.estimator, results)
    write_csv(table, arguments.output)
    print(f"{len(table)} rows, {len(results)} result files of other measures")
    print(table.groupby("study")[[*MEASURE_COLUMNS]].count().T.to_string())


if __name__ == "__main__":
    cli.run(main)
