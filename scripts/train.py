#!/usr/bin/env python
"""Train one run of a study and keep its checkpoints."""

import argparse
from pathlib import Path

from actdim import cli, plugins
from actdim.cli import add_set, read_set
from actdim.errors import UserError
from actdim.provenance import made_by
from actdim.study.runs import run_settings
from actdim.study.stages import stages_of_study
from actdim.study.study import Checkpoints
from actdim.study.yaml_files import read_yaml
from actdim.training.loop import train
from actdim.validation import check, digest


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

    study = read_yaml(arguments.study)
    chosen = {"seed": 0, **read_set(arguments.set)}
    settings = run_settings(study, chosen, str(arguments.study))
    unit, ends = stages_of_study(study, str(arguments.study))
    until = ends[-1] if arguments.until is None else arguments.until
    previous = last_checkpoint(arguments.previous) if arguments.previous else None
    start = int(previous.stem) if previous else 0
    if until <= start and previous:
        raise UserError(f"--until {until}: should be after {start}, where training begins")
    checkpoints = check(Checkpoints, {"checkpoints": study.get("checkpoints")}, str(arguments.study)).checkpoints
    kept = sorted({at for at in checkpoints if start < at <= until or at == start == 0} | {until})
    if arguments.expect not in (None, digest([settings, kept])):
        raise UserError(f"{arguments.study}: changed since this job was planned; run snakemake again")
    run = {
        "study": arguments.study.stem,
        "chosen": chosen,
        "settings": settings,
        "unit": unit,
        "start": start,
        "until": until,
        "kept": kept,
        "made_by": made_by(
            __file__,
            *plugins.code_of(settings),
            libraries=("torch", "numpy"),
        ),
    }
    train(run, arguments.output, previous, arguments.save_every)


def last_checkpoint(folder):
    """Return the last checkpoint in a folder; UserError where it holds none."""
    found = sorted(folder.glob("[0-9]*.pt"), key=lambda file: int(file.stem))
    if not found:
        raise UserError(f"{folder}: no checkpoint to go on from")
    return found[-1]


if __name__ == "__main__":
    cli.run(main)
