#!/usr/bin/env python
"""Print what the configured studies will cost: runs, jobs, space on disk and time. Writes nothing."""

import argparse
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from actdim import cli
from actdim.cli import read_set
from actdim.errors import UserError
from actdim.folders import WORKFLOW
from actdim.study.study import load_config_and_studies
from actdim.study.targets import MADE_BY, wildcards_of
from actdim.workflow.costs import OTHER_JOB, Cost, study_costs
from actdim.workflow.resources import MEASURED, Request, resource_requests

ON_GPU = {"train", "dump_activations", *MEASURED}  # rules that use a GPU where there is one
WRITERS = (("train",), ("dump_activations", "import_activations"), ("find_neighbors",))  # of each kind of large file


class Output(NamedTuple):
    """A file or folder that a job makes."""

    rule: str
    path: str
    pending: bool  # whether Snakemake would make it now
    share: float  # of its job, which may make several
    cost: Cost
    request: Request


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=1, help="cores that Snakemake may use (default: 1)")
    parser.add_argument("--gpu", nargs="*", default=[], metavar="RULE", help="rules whose jobs each have a GPU")
    parser.add_argument("--config", nargs="+", required=True, metavar="KEY=VALUE", help="the content of config.yaml")
    arguments = parser.parse_args()

    config, studies = load_config_and_studies(read_set(arguments.config))
    planned = planned_files(arguments.config)
    costs = {path: cost for study in studies.values() for path, cost in study_costs(study).items()}
    of_job = Counter(job_of(rule, path) for path, rule, _ in planned)  # the number of outputs of each job
    request_for = resource_requests(studies, config, arguments.gpu)
    outputs = [
        Output(
            rule,
            path,
            pending,
            share=1 / of_job[job_of(rule, path)],
            cost=costs.get(path, Cost(OTHER_JOB / of_job[job_of(rule, path)], 1, 0)),
            request=request_for(rule, wildcards_of(rule, path) if rule in MADE_BY else {}),
        )
        for path, rule, pending in planned
    ]
    print_rules(outputs)
    print_studies(outputs, studies)
    print_disk(outputs, studies, arguments.cores)
    print_time(outputs, arguments.cores)


def planned_files(config):
    """Return (path, rule, whether Snakemake would make it now) of every file in Snakemake's plan."""
    options = ["--summary", "--nolock", "--replace-workflow-config", "--config", *config]
    command = ["snakemake", "--snakefile", WORKFLOW / "Snakefile", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"Snakemake cannot plan: {done.stderr.strip().splitlines()[-1]}")
    header, *rows = (line.split("\t") for line in done.stdout.splitlines() if "\t" in line)
    path, rule, plan = map(header.index, ("output_file", "rule", "plan"))
    return [(row[path], row[rule].removesuffix("_for_a_while"), row[plan] == "update pending") for row in rows]


def job_of(rule, path):
    """Return what the outputs of a job have in common: of tables their rule, of a figure the path without its ending.

    Snakemake does not say which outputs one job makes.
    """
    return rule if rule.startswith("tabulate_") else str(Path(path).with_suffix(""))


def print_rules(outputs):
    """Print for every rule the jobs to run, all jobs, the time of those to run, and the most that a job requests.

    A job requests memory in GB, and the time after which a cluster stops it; more when it is tried again.
    """
    by_rule = defaultdict(list)
    for output in outputs:
        by_rule[output.rule].append(output)
    rows = [(rule, *jobs_and_hours(group), *largest_request(group)) for rule, group in by_rule.items()]
    rows.sort(key=lambda row: -row[3])
    rows.append(("total", *jobs_and_hours(outputs), "", ""))
    print_table(
        ["rule", "jobs to run", "of", "core-hours", "GB asked", "time asked"],
        [[rule, f"{pending:,}", f"{jobs:,}", f"{hours:,.2f}", *most] for rule, pending, jobs, hours, *most in rows],
    )


def largest_request(outputs):
    """Return the most memory and the most time that a job requests, as text."""
    mem_mb, runtime = (max(values) for values in zip(*(output.request for output in outputs), strict=True))
    return f"{mem_mb / 1000:.1f}", duration(60 * runtime)


def jobs_and_hours(outputs):
    """Return the number of jobs to run, the number of all jobs, and the core-hours of those to run."""
    pending = [output for output in outputs if output.pending]
    hours = sum(output.cost.seconds * output.cost.threads for output in pending) / 3600
    return round(sum(output.share for output in pending)), round(sum(output.share for output in outputs)), hours


def print_studies(outputs, studies):
    """Print for every study its runs, the size of its files when all is done, in GB, and the core-hours to come."""
    rows = []
    for study in studies.values():
        of_study = [output for output in outputs if output.path.startswith(f"results/{study.name}/")]
        sizes = [gigabytes(output for output in of_study if output.rule in rules) for rules in WRITERS]
        rows.append((study.name, len(study.runs), *sizes, jobs_and_hours(of_study)[2]))
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
    deleted = [output for output in missing if output.rule == "dump_activations" and not keeps(studies, output.path)]
    kept = [output for output in missing if output not in deleted]
    # Of the files that are deleted after use, there are as many at once as jobs.
    to_come = gigabytes([*kept, *sorted(deleted, key=lambda output: -output.cost.size)[:cores]])
    folder = Path("results").resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    print(f"Disk: {number(to_come)} GB to be written, {number(free)} GB free where results/ lies.")
    if to_come > free:
        print(f"THE DISK IS TOO SMALL by {number(to_come - free)} GB.")


def keeps(studies, path):
    """Tell whether the activations at a path are kept after the jobs that need them."""
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
            trainings[Path(output.path).parent] += output.cost.seconds  # the stages of a run wait for each other
    seconds = max(gpu, cpu / cores, max(trainings.values(), default=0))
    device = f"{torch.cuda.get_device_name()}, one job at a time" if has_gpu else "this CPU"
    print(f"Time: about {duration(seconds)} with {cores} core{'s' if cores > 1 else ''}, training on {device}.")
    print(
        "That is from a few steps of each kind of run, timed one after the other on random samples; for neighbors from"
        f"\na formula in the numbers of points and features; other jobs count {OTHER_JOB:g} s each."
    )


def duration(seconds):
    """Return a length of time in words, in its largest suitable unit."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} seconds"


def number(value):
    """Return a number as text, with three significant digits below 100."""
    if value >= 100:
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")


def print_table(columns, rows):
    """Print aligned rows of texts, a name and numbers, and an empty line."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for name, *values in [columns, *rows]:
        print("  ".join([name.ljust(widths[0]), *map(str.rjust, values, widths[1:])]))
    print()


if __name__ == "__main__":
    cli.run(main)
