#!/usr/bin/env python
"""Train one run of a study and keep its checkpoints."""

import argparse
from pathlib import Path

from actdim import cli
from actdim.cli import add_set, read_set
from actdim.errors import UserError
from actdim.study.stages import load_training_job, planned_digest
from actdim.training.loop import train
from actdim.training.settings import run_settings_that_count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, type=Path, help="the study's YAML file")
    add_set(parser, "a setting of this run: weight_decay=0.001, seed=0")
    parser.add_argument("--until", type=int, help="the epoch or step at which to end (default: the study's last)")
    parser.add_argument(
        "--continue", dest="previous", type=Path, metavar="DIR", help="continue from the last checkpoint in this folder"
    )
    parser.add_argument("--save-every", type=float, default=10.0, metavar="SECONDS", help="between resume states")
    parser.add_argument("--expect", metavar="DIGEST", help="of what Snakemake planned with")
    parser.add_argument("--output", required=True, type=Path, help="the folder for checkpoints and metrics.csv")
    arguments = parser.parse_args()

    chosen = {"seed": 0, **read_set(arguments.set)}
    previous = last_checkpoint(arguments.previous) if arguments.previous else None
    start = int(previous.stem) if previous else None
    job = load_training_job(arguments.study, chosen, start, arguments.until, __file__)
    if arguments.expect not in (None, planned_digest(run_settings_that_count(job.settings), job.stage)):
        files = "".join(f" or {path}" for path in job.made_by["settings"].get("files", {}))
        raise UserError(f"{arguments.study}{files}: changed since this job was planned; run snakemake again")
    train(job, arguments.output, previous, arguments.save_every)


def last_checkpoint(folder):
    """Return the last checkpoint in a folder; UserError where it holds none."""
    files = list(folder.glob("[0-9]*.pt"))
    if not files:
        raise UserError(f"{folder}: no checkpoint to continue from")
    return max(files, key=lambda file: int(file.stem))


if __name__ == "__main__":
    cli.run(main)
