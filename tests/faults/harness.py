"""Studies that touch every rule, Snakemake on them in a process group of its own, and what makes results equal."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import psutil
import torch
import yaml

PASSING = {
    "dataset": {"name": "digits", "train_size": 300},
    "model": {"name": "mlp", "width": 16},
    "training": {"lr": 0.1, "batch_size": 50, "epochs": [2, 4]},
    "grid": [{"weight_decay": [0, 0.01, 0.1]}],
    "checkpoints": [2, 4],
    "activations": {"at": [4], "layers": ["hidden2"], "keep": False},
    "directions": {"at": [4], "layers": ["hidden2"]},
    "functional_dimension": {"at": [4], "samples": 20},
    "figures": ["llid", "pid", "pid_over_llid", "id_over_depth", "scale_check", "grokking"],
}
KEPT = {
    "dataset": {"name": "mnist", "train_size": 150},
    "model": {"name": "mlp", "width": 16},
    "training": {"lr": 0.1, "batch_size": 50, "epochs": 1},
    "grid": [{"weight_decay": [0]}],
    "checkpoints": [1],
    "activations": {"at": [1], "layers": ["hidden2"]},
    "figures": [],
}
# Every rule, and what a process of its job says on its command line.
RULES = {
    "download_dataset": r"download_dataset\.py",
    "train": r"train\.py (?!.*--continue)",
    "train, second stage": r"train\.py .*--continue",
    "dump_activations": r"dump_activations\.py (?!.*/passing/)",
    "dump_activations_for_a_while": r"dump_activations\.py .*/passing/",
    **{
        rule: rf"{rule}\.py"
        for rule in (
            "find_neighbors",
            "estimate_id",
            "estimate_pca",
            "ablate_directions",
            "functional_dimension",
            "tabulate_id",
            "tabulate_training",
            "tabulate_measures",
            "tabulate_predictors",
            "plot_llid",
            "plot_pid",
            "plot_pid_over_llid",
            "plot_id_over_depth",
            "plot_scale_check",
            "plot_grokking",
            "plot_predictors",
            "write_events",
        )
    },
    "describe_results": r"describe_results\.py",
    "plan": r"plan\.py",
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
USUAL = 2.0  # seconds of a job that nobody has timed
PATIENCE = 300  # seconds in which a Snakemake that was struck should be gone


def write_studies(project):
    """Write the studies and a config that runs both, with all that is optional."""
    project.write(PASSING, "passing", tensorboard=True, studies=["passing", "kept"])
    (project.folder / "studies/kept.yaml").write_text(yaml.safe_dump(KEPT))


def start(project, *arguments):
    """Start Snakemake in a session, and so a process group, of its own; its output goes to <folder>.log."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with open(project.folder.with_suffix(".log"), "w") as log:
        return subprocess.Popen(
            ["snakemake", "--cores", "2", *arguments],
            cwd=project.folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # SIGINT is ignored by what a shell has put into the background, and by all its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def jobs(snakemake, rules):
    """Return {rule: process} of the jobs of a Snakemake that run now, of some rules."""
    found = {}
    for process in psutil.Process(snakemake.pid).children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if command and not command[0].endswith("bash"):
            line = " ".join(command)
            found |= {rule: process for rule in rules if re.search(RULES[rule], line)}
    return found


def strike(project, pending, moments, duration, *arguments):
    """Run Snakemake until a job of a rule in `pending` runs; send its whole group a signal at a random moment of it.

    pending: Counter of (rule, signal); moments: a random.Random; duration: {rule: seconds}.
    Returns what of `pending` was struck and whether the job still ran then, or None where Snakemake came to its end.
    """
    snakemake = start(project, *arguments)
    rules = {rule for rule, _ in pending}
    while not (running := jobs(snakemake, rules) if snakemake.poll() is None else {}):
        if snakemake.poll() is not None:
            said = project.folder.with_suffix(".log").read_text()
            assert snakemake.returncode == 0, said
            return None
        time.sleep(0.03)
    rule, job = moments.choice(sorted(running.items(), key=lambda item: item[0]))
    kind = moments.choice([kind for of, kind in sorted(pending) if of == rule])
    time.sleep(moments.uniform(0, 0.9 * duration.get(rule, USUAL)))
    hit = job.is_running() and job.status() != psutil.STATUS_ZOMBIE
    os.killpg(snakemake.pid, kind)
    snakemake.wait(PATIENCE)
    while group_lives(snakemake.pid):
        time.sleep(0.01)
    return rule, kind, hit and snakemake.returncode != 0


def group_lives(group):
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def endure(project, reference, pending, seed, duration, *arguments):
    """Strike until nothing is pending, then let Snakemake finish; return Counters of hits and misses, and what is lost.

    A run that came to its end is compared with `reference`, and begun anew where moments are left. A miss is a signal
    that came when the job had just ended: a fault as well, but of what ran then.
    """
    pending, hits, misses, different = Counter(pending), Counter(), Counter(), {}
    moments = random.Random(seed)
    while pending:
        struck = strike(project, pending, moments, duration, *arguments)
        if struck:
            rule, kind, hit = struck
            (hits if hit else misses)[rule, kind] += 1
            pending -= Counter([(rule, kind)] if hit else [])
            if not hit:  # the machine is faster now than when the durations were taken
                duration = duration | {rule: 0.7 * duration.get(rule, USUAL)}
        else:
            different |= lost(project, reference)
            for place in ("results", "data", ".snakemake"):
                shutil.rmtree(project.folder / place, ignore_errors=True)
    project.snakemake()
    return hits, misses, different | lost(project, reference)


def durations(project):
    """Return {rule: seconds that its jobs took at the most} of a finished project, from its benchmark files."""
    seconds = {}
    for file in project.folder.glob("results/**/benchmarks/**/*.tsv"):
        rule = file.relative_to(project.folder).as_posix().split("benchmarks/")[1].split("/")[0].removesuffix(".tsv")
        value = float(file.read_text().splitlines()[1].split()[0])
        seconds[rule] = max(value, seconds.get(rule, 0))
    seconds["train, second stage"] = seconds["train"]
    seconds["dump_activations_for_a_while"] = seconds["dump_activations"]
    return seconds


def content(path):
    """Return what counts of a result: all of it but the time that a search or a job took.

    Of a checkpoint and an HDF5 file the tensors, data sets and attributes; of the report, which shows run times, its
    end; of a log or a benchmark that it is there; of any other file, tables and figures among them, the bytes.
    """
    if {"logs", "benchmarks"} & set(path.parts) or path.name == "lock":
        return None
    if path.suffix == ".pt":
        leaves, shape = torch.utils._pytree.tree_flatten(torch.load(path, weights_only=True))
        return str(shape), [leaf.numpy().tobytes() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return of_group(file)
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text()))
    return path.read_bytes()[-8:] if path.suffix == ".html" else path.read_bytes()


def of_group(group):
    """Return the content of a group of an HDF5 file as nested dicts."""
    attributes = without_times({key: as_python(value) for key, value in group.attrs.items()})
    parts = {
        name: of_group(part)
        if isinstance(part, h5py.Group)
        else (part.shape, str(part.dtype), part[()].tobytes(), {key: as_python(v) for key, v in part.attrs.items()})
        for name, part in group.items()
    }
    return attributes, parts


def as_python(value):
    """Return an HDF5 attribute as plain Python, JSON text as what it says."""
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(value, bytes) and value.startswith(b"{"):
        return json.loads(value)
    return value


def without_times(value):
    """Return plain Python less every key "seconds" in it, and less the checksums that cover these."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in ("seconds", "checksum")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def files_of(project):
    """Return the paths of all that a project has made: results, data, and what Snakemake marks as unfinished."""
    places = [project.folder / place for place in ("results", "data", ".snakemake/incomplete", ".snakemake/locks")]
    left = [*project.folder.glob(".snakemake/shell_tmp.*"), *project.folder.glob(".snakemake/shadow/*")]
    return {
        file.relative_to(project.folder)
        for file in [*(file for place in places for file in place.rglob("*") if not file.is_dir()), *left]
        if file.name != "plan.log"
    }


def lost(project, reference):
    """Return what differs from an undisturbed run: {path: "missing", "left over" or "differs"}."""
    mine, theirs = files_of(project), files_of(reference)
    different = {
        path: "differs" for path in mine & theirs if content(project.folder / path) != content(reference.folder / path)
    }
    return different | dict.fromkeys(theirs - mine, "missing") | dict.fromkeys(mine - theirs, "left over")
