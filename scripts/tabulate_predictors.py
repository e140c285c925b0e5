#!/usr/bin/env python
"""Correlate every measure with generalization, by study and by sweep, with bootstrap intervals; say what they show."""

import argparse
from pathlib import Path

from actdim import cli
from actdim.storage.atomic import atomic_write
from actdim.tables.columns import TARGETS
from actdim.tables.files import read_csv, write_csv
from actdim.tables.findings import describe_findings
from actdim.tables.generalization.findings import READ, READ_OF_COMPARISONS, describe_generalization
from actdim.tables.measures import MEASURE_COLUMNS
from actdim.tables.predictors import predictors_table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measures", required=True, type=Path, help="the table of measures")
    parser.add_argument("--predictors", required=True, type=Path, help="the table of correlations")
    parser.add_argument("--findings", required=True, type=Path, help="what the table shows, in words")
    parser.add_argument("--generalization", type=Path, help="the table generalization.csv, to describe in words, too")
    parser.add_argument("--comparisons", type=Path, help="the table generalization_comparisons.csv, which goes with it")
    arguments = parser.parse_args()

    table = predictors_table(read_csv(arguments.measures, "study", "checkpoint", *MEASURE_COLUMNS, *TARGETS))
    write_csv(table, arguments.predictors)
    text = describe_findings(table)
    if arguments.generalization and arguments.comparisons:
        judged = read_csv(arguments.generalization, *READ)
        comparisons = read_csv(arguments.comparisons, *READ_OF_COMPARISONS, may_be_empty=True)
        text += "\n" + describe_generalization(judged, comparisons)
    with atomic_write(arguments.findings) as temporary:
        temporary.write_text(text)
    print(f"{len(table)} correlations, {table['spearman_low'].notna().sum()} with intervals")


if __name__ == "__main__":
    cli.run(main)
