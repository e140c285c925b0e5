#!/usr/bin/env python
"""Judge how well each measure predicts generalization, by the statistics of two papers; see docs/generalization.md.

Works on any table of runs, one row for each run (and checkpoint), with a column `study`, settings, `seed`, measures and
targets. Beside OUTPUT.csv are written OUTPUT_axes.csv, OUTPUT_environments.csv and OUTPUT_comparisons.csv.
"""

import argparse
from pathlib import Path

from actdim import cli
from actdim.errors import UserError
from actdim.tables.files import read_csv, write_csv
from actdim.tables.generalization.columns import LOSS, STUDY, check_runs, tell_columns
from actdim.tables.generalization.sign_errors import ENVIRONMENTS
from actdim.tables.generalization.table import Options, generalization_tables


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measures", required=True, type=Path, help="the table of runs")
    parser.add_argument("--output", required=True, type=Path, help="the table of statistics")
    for option, default in {
        "--measure": "the measures of this project that the table has",
        "--target": "validation_accuracy and generalization_gap",
        "--setting": "the columns between study and checkpoint, or all that remain",
    }.items():
        parser.add_argument(option, nargs="+", metavar="COLUMN", help=f"{option[2:]}s (default: {default})")
    parser.add_argument(
        "--test-samples",
        action="append",
        default=[],
        metavar="[STUDY=]N",
        help="samples on which the targets were measured; without it, pairs count alike in sign errors",
    )
    parser.add_argument(
        "--trained-to",
        action="append",
        default=[],
        metavar="[STUDY=]LOSS",
        help="leave out runs that end with a higher train_loss, and take each run at its own last checkpoint",
    )
    parser.add_argument("--environments", choices=ENVIRONMENTS, default=ENVIRONMENTS[0], help="of sign errors")
    arguments = parser.parse_args()

    table = read_csv(arguments.measures, STUDY)
    try:
        columns = tell_columns(table, arguments.setting, arguments.measure, arguments.target)
        runs = check_runs(table, columns)
    except UserError as mistake:
        raise UserError(f"{arguments.measures}: {mistake}") from None
    studies = list(dict.fromkeys(runs[STUDY]))
    samples = by_study("--test-samples", arguments.test_samples, studies, int)
    losses = by_study("--trained-to", arguments.trained_to, studies, float)
    if losses and LOSS not in runs:
        raise UserError(f"{arguments.measures}: has no column {LOSS}, which --trained-to needs")
    options = {study: Options(losses.get(study), samples.get(study), arguments.environments) for study in studies}
    print(*(f"{role}: {', '.join(names)}" for role, names in columns._asdict().items()), sep="\n")
    tables = generalization_tables(runs, columns, options)
    write_csv(tables.generalization, arguments.output)
    for name in ("axes", "environments", "comparisons"):
        write_csv(getattr(tables, name), arguments.output.with_stem(f"{arguments.output.stem}_{name}"))
    print(f"{len(tables.generalization)} rows, {tables.generalization['psi_low'].notna().sum()} with intervals")


def by_study(option, texts, studies, kind):
    """Return {study: number} of the values of an option, NUMBER for all studies or STUDY=NUMBER for one."""
    numbers = {}
    for text in texts:
        study, _, number = text.rpartition("=")
        if study and study not in studies:
            raise UserError(f"{option} {text}: no study {study}; there are {', '.join(map(str, studies))}")
        try:
            value = kind(number)
        except ValueError:
            value = 0
        if not value > 0:
            raise UserError(f"{option} {text}: should be a number above 0, or STUDY=NUMBER")
        numbers |= {study: value} if study else {name: value for name in studies if name not in numbers}
    return numbers


if __name__ == "__main__":
    cli.run(main)
