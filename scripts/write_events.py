#!/usr/bin/env python
"""Write one run's training curves, LLID and PID as an event file for TensorBoard.

The paths of the run's estimates, the JSON files of estimate_id, are read from standard input, one per line.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from actdim import cli
from actdim.storage.atomic import atomic_write
from actdim.storage.working_folder import repair_advice
from actdim.tables.files import read_csv
from actdim.tables.id import id_table
from actdim.tables.results import read_estimates
from actdim.tables.summary import summary_table
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", required=True, nargs="*", type=Path, help="the run's folders of train.py")
    parser.add_argument("--output", required=True, type=Path, help="the event file; its name should hold tfevents")
    arguments = parser.parse_args()

    estimates = read_estimates(sys.stdin.read().split())
    scalars = training_scalars(arguments.checkpoints) + (measured_scalars(estimates) if estimates else [])
    with atomic_write(arguments.output) as temporary, open(temporary, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        # No wall time, so that the same results are the same file.
        for checkpoint, tag, value in sorted(scalars):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(step=checkpoint, summary=summary).SerializeToString())
    print(f"{len(scalars)} scalars")


def training_scalars(folders):
    """Return [(epoch or step, tag, value)] of the folders' metrics.csv: train_loss as train/loss, learning_rate.

    Values that are missing for a reason are left out; those of a training that diverged are nan.
    """
    tables = [read_csv(folder / "metrics.csv", remedy=repair_advice(folder)) for folder in folders]
    return [
        (int(checkpoint), column.replace("train_", "train/").replace("validation_", "validation/"), value)
        for table in tables
        for column in table.columns[1:].drop("reason", errors="ignore")
        for checkpoint, value, reason in zip(table.iloc[:, 0], table[column], reasons_in(table), strict=True)
        if pd.notna(value) or pd.isna(reason)
    ]


def reasons_in(table):
    """Return the column `reason` of metrics.csv, or one without values."""
    return table["reason"] if "reason" in table else [None] * len(table)


def measured_scalars(estimates):
    """Return [(epoch or step, tag, value)] of LLID and PID, such as llid/twonn; of training samples llid/twonn/train.

    Missing estimates are left out.
    """
    summary = summary_table(*id_table(estimates))
    return [
        (int(row.checkpoint), tag_of(measure, row), value)
        for row in summary.itertuples(index=False)
        for measure in ("llid", "pid")
        if pd.notna(value := getattr(row, measure))
    ]


def tag_of(measure, row):
    """Return the tag of a measure in a row of the summary."""
    return f"{measure}/{row.estimator}{'' if row.split == 'validation' else f'/{row.split}'}"


if __name__ == "__main__":
    cli.run(main)
