#!/usr/bin/env python
"""Print what the configured studies will cost: runs, jobs, space on disk and time. Writes nothing."""

import argparse
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from actdim import cli
from actdim.cli import read_set
from actdim.errors import UserError
from actdim.measures.table import MEASURES
from actdim.study.study import load_config_and_studies
from actdim.study.targets import MADE_BY, wildcards_of
from actdim.workflow.costs import OTHER, Cost, costs_of
from actdim.workflow.resources import Asked, asking

ON_GPU = {
    "train",
    "dump_activations",
    *(measure.rule for measure in MEASURES.values() if measure.work),
}  # if there is one
WRITERS = ("train", "dump_activations", "find_neighbors")  # of what takes space


class Output(NamedTuple):
    """A file or folder that a job makes."""

    rule: str
    path: str
    pending: bool  # whether Snakemake would make it now
    share: float  # of the job
    cost: Cost
    asked: Asked


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=1, help="cores that Snakemake may use (default: 1)")
    parser.add_argument("--outputs", nargs="*", default=[], metavar="RULE=N", help="rules with several outputs a job")
    parser.add_argument("--gpu", nargs="*", default=[], metavar="RULE", help="rules whose jobs each have a GPU")
    parser.add_argument("--config", nargs="+", required=True, metavar="KEY=VALUE", help="the content of config.yaml")
    arguments = parser.parse_args()

    config, studies = load_config_and_studies(read_set(arguments.config))
    files = files_planned(arguments.config)
    costs = {path: cost for study in studies.values() for path, cost in costs_of(study).items()}
    outputs = defaultdict(lambda: 1, read_set(arguments.outputs))
    asked_by = asking(studies, config, arguments.gpu)
    planned = [
        Output(
            rule,
            path,
            pending,
            share=1 / outputs[rule],
            cost=costs.get(path, Cost(OTHER / outputs[rule], 1, 0)),
            asked=asked_by(rule, wildcards_of(rule, path) if rule in MADE_BY else {}),
        )
        for path, rule, pending in files
    ]
    print_rules(planned)
    print_studies(planned, studies)
    print_disk(planned, studies, arguments.cores)
    print_time(planned, arguments.cores)


def files_planned(config):
    """Return (path, rule, whether it is to be made) of every file that Snakemake's plan has."""
    command = ["snakemake", "--summary", "--nolock", "--config", *config]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"Snakemake cannot plan: {done.stderr.strip().splitlines()[-1]}")
    header, *rows = (line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    path, rule, plan = map(header.index, ("output_file", "rule", "plan"))
    return [(row[path], row[rule].removesuffix("_for_a_while"), row[plan] == "update pending") for row in rows]


def print_rules(outputs):
    """Print the jobs of every rule: to be run, in all, the time that those to be run take, the most that one asks for.

    What a job asks for when it is first tried: memory in GB, and the time after which a cluster would stop it.
    """
    rules = dict.fromkeys(output.rule for output in outputs)
    of_rule = {rule: [output for output in outputs if output.rule == rule] for rule in rules}
    rows = [(rule, *jobs_and_hours(own), *most_asked(own)) for rule, own in of_rule.items()]
    rows.sort(key=lambda row: -row[3])
    rows.append(("total", *jobs_and_hours(outputs), "", ""))
    print_table(
        ["rule", "jobs to run", "of", "core-hours", "GB asked", "time asked"],
        [[rule, f"{pending:,}", f"{jobs:,}", f"{hours:,.2f}", *most] for rule, pending, jobs, hours, *most in rows],
    )


def most_asked(outputs):
    """Return the most memory and the most time that a job asks for, as text."""
    memory, limit = (max(of) for of in zip(*(output.asked for output in outputs), strict=True))
    return f"{memory / 1000:.1f}", duration(60 * limit)


def jobs_and_hours(outputs):
    """Return how many jobs are to be run, how many there are, and the core-hours of those to be run."""
    pending = [output for output in outputs if output.pending]
    hours = sum(output.cost.seconds * output.cost.threads for output in pending) / 3600
    return round(sum(output.share for output in pending)), round(sum(output.share for output in outputs)), hours


def print_studies(outputs, studies):
    """Print every study's runs, its files on disk when all is done, in GB, and its core-hours still to come."""
    rows = []
    for study in studies.values():
        own = [output for output in outputs if output.path.startswith(f"results/{study.name}/")]
        by_rule = [gigabytes(output for output in own if output.rule == rule) for rule in WRITERS]
        rows.append((study.name, len(study.runs), *by_rule, jobs_and_hours(own)[2]))
    if len(rows) > 1:
        rows.append(("total", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    print_table(
        ["study", "runs", "checkpoints, GB", "activations, GB", "neighbors, GB", "core-hours"],
        [[name, f"{runs:,}", *map(number, sizes), f"{hours:,.2f}"] for name, runs, *sizes, hours in rows],
    )


def gigabytes(outputs):
    """Return the size of outputs."""
    return sum(output.cost.size for output in outputs) / 1e9


def print_disk(outputs, studies, cores):
    """Print how much is still to be written, and whether there is room for it."""
    missing = [output for output in outputs if output.pending and not Path(output.path).exists()]
    passing = [output for output in missing if output.rule == "dump_activations" and not keeps(studies, output.path)]
    lasting = [output for output in missing if output not in passing]
    # Of those that pass, as many are there at once as jobs.
    to_come = gigabytes([*lasting, *sorted(passing, key=lambda output: -output.cost.size)[:cores]])
    folder = Path("results").resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    print(f"Disk: {number(to_come)} GB to be written, {number(free)} GB free where results/ lies.")
    if to_come > free:
        print(f"THE DISK IS TOO SMALL by {number(to_come - free)} GB.")


def keeps(studies, path):
    """Tell whether the activations at a path stay after the jobs that need them."""
    return studies[Path(path).parts[1]].activations.keep


def print_time(outputs, cores):
    """Print the time that the jobs to be run take together."""
    has_gpu = torch.cuda.is_available()
    gpu, cpu, trainings = 0.0, 0.0, defaultdict(float)
    for output in outputs:
        if output.pending and has_gpu and output.rule in ON_GPU:
            gpu += output.cost.seconds
        elif output.pending:
            cpu += output.cost.seconds * min(output.cost.threads, cores)
        if output.pending and output.rule == "train":
            trainings[Path(output.path).parent] += output.cost.seconds  # of a run: one stage after the other
    seconds = max(gpu, cpu / cores, max(trainings.values(), default=0))
    device = f"{torch.cuda.get_device_name()}, one job at a time" if has_gpu else "this CPU"
    print(f"Time: about {duration(seconds)} with {cores} core{'s' if cores > 1 else ''}, training on {device}.")
    print(
        "It rests on a few timed steps of each kind of run, on made-up samples, that went on one at a time; for the"
        f"\nneighbors on a formula in points and features; other jobs count for {OTHER:g} s each."
    )


def duration(seconds):
    """Return a length of time as a reader would say it."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} seconds"


def number(value):
    """Return a number with three digits that count."""
    return (
        f"{value:,.0f}" if value >= 100 else np.format_float_positional(value, precision=3, fractional=False, trim="-")
    )


def print_table(columns, rows):
    """Print rows of a name and numbers, as texts, aligned, and an empty line."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for name, *values in [columns, *rows]:
        print("  ".join([name.ljust(widths[0]), *map(str.rjust, values, widths[1:])]))
    print()


if __name__ == "__main__":
    cli.run(main)
