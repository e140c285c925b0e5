#!/usr/bin/env python
"""Correlate every measure with generalization, by study and by sweep, with bootstrap intervals; say what they show."""

import argparse
from pathlib import Path

from actdim import errors
from actdim.files import whole
from actdim.measures import MEASURES
from actdim.predictors import TARGETS, predictors_table
from actdim.reading import reading
from actdim.tables import read_csv, write_csv


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measures", required=True, type=Path, help="the table of measures")
    parser.add_argument("--predictors", required=True, type=Path, help="the table of correlations")
    parser.add_argument("--reading", required=True, type=Path, help="a text that reads it")
    arguments = parser.parse_args()

    table = predictors_table(read_csv(arguments.measures, "study", "checkpoint", *MEASURES, *TARGETS))
    write_csv(table, arguments.predictors)
    with whole(arguments.reading) as beside:
        beside.write_text(reading(table))
    print(f"{len(table)} correlations, {table['spearman_low'].notna().sum()} with intervals")


if __name__ == "__main__":
    errors.run(main)
