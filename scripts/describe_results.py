#!/usr/bin/env python
"""Describe the results in reStructuredText, for the first page of Snakemake's report."""

import argparse
from pathlib import Path

from actdim import cli
from actdim.storage.atomic import atomic_write
from actdim.tables.columns import PREDICTORS_COLUMNS, PREDICTORS_KEY, SUMMARY_COLUMNS
from actdim.tables.files import read_csv
from actdim.tables.overview import overview


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", required=True, type=Path, help="the table summary.csv")
    parser.add_argument("--predictors", required=True, type=Path, help="the table predictors.csv")
    parser.add_argument("--estimator", required=True, help="the estimator to report")
    parser.add_argument(
        "--figures", nargs="*", default=[], type=Path, metavar="STUDY/FIGURE.svg", help="a figure for each study"
    )
    parser.add_argument("--output", required=True, type=Path, help="the page")
    arguments = parser.parse_args()

    summary = read_csv(arguments.summary, *SUMMARY_COLUMNS)
    predictors = read_csv(arguments.predictors, *PREDICTORS_COLUMNS, key=PREDICTORS_KEY)
    figures = {figure.parent.name: figure for figure in arguments.figures}
    text = overview(summary, predictors, arguments.estimator, figures)
    with atomic_write(arguments.output, len(text)) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    cli.run(main)
