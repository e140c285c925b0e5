#!/usr/bin/env python
"""Train one run of a study and keep its checkpoints."""

import argparse
from pathlib import Path

from actdim import cli, plugins
from actdim.cli import add_set, read_set
from actdim.errors import UserError
from actdim.provenance import made_by, settings_that_count
from actdim.study.runs import planned_digest, run_settings
from actdim.study.stages import training_length
from actdim.study.study import Checkpoints
from actdim.study.yaml_files import read_yaml
from actdim.training.loop import train
from actdim.training.stages import TrainingJob, make_stage
from actdim.validation import check


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, type=Path, help="the study's YAML file")
    add_set(parser, "a setting of this run: weight_decay=0.001, seed=0")
    parser.add_argument("--until", type=int, help="the epoch or step at which to end (default: the study's last)")
    parser.add_argument("--continue", dest="previous", type=Path, metavar="DIR", help="go on from this folder's last")
    parser.add_argument("--save-every", type=float, default=10.0, metavar="SECONDS", help="between resume states")
    parser.add_argument("--expect", metavar="DIGEST", help="of what Snakemake planned with")
    parser.add_argument("--output", required=True, type=Path, help="the folder for checkpoints and metrics.csv")
    arguments = parser.parse_args()

    content, where = read_yaml(arguments.study), str(arguments.study)
    chosen = {"seed": 0, **read_set(arguments.set)}
    settings = run_settings(content, chosen, where)
    length = training_length(content, where)
    until = length.ends[-1] if arguments.until is None else arguments.until
    previous = last_checkpoint(arguments.previous) if arguments.previous else None
    if previous and until <= int(previous.stem):
        raise UserError(f"--until {until}: should be after {int(previous.stem)}, where training begins")
    checkpoints = check(Checkpoints, {"checkpoints": content.get("checkpoints")}, where).checkpoints
    stage = make_stage(checkpoints, until, int(previous.stem) if previous else None)
    if arguments.expect not in (None, planned_digest(settings_that_count(settings), stage)):
        raise UserError(f"{arguments.study}: changed since this job was planned; run snakemake again")
    job = TrainingJob(
        study=arguments.study.stem,
        chosen=chosen,
        settings=settings,
        unit=length.unit,
        stage=stage,
        made_by=made_by(__file__, *plugins.run_functions(settings), libraries=("torch", "numpy")),
    )
    train(job, arguments.output, previous, arguments.save_every)


def last_checkpoint(folder):
    """Return the last checkpoint in a folder; UserError where it holds none."""
    found = sorted(folder.glob("[0-9]*.pt"), key=lambda file: int(file.stem))
    if not found:
        raise UserError(f"{folder}: no checkpoint to go on from")
    return found[-1]


if __name__ == "__main__":
    cli.run(main)
