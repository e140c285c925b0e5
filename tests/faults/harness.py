"""Studies that use every rule, runs of Snakemake that signals interrupt, and the comparison of results."""

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
    "norms": {"at": [4]},
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
# {rule: regular expression of its jobs' command line}
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
            "estimate_null",
            "measure_neighborhoods",
            "measure_directions",
            "measure_functional_dimension",
            "measure_norms",
            "tabulate_id",
            "tabulate_training",
            "tabulate_measures",
            "tabulate_predictors",
            "tabulate_generalization",
            "plot_llid",
            "plot_pid",
            "plot_pid_over_llid",
            "plot_id_over_depth",
            "plot_scale_check",
            "plot_grokking",
            "plot_predictors",
            "plot_robustness",
            "plot_sign_errors",
            "write_events",
        )
    },
    "describe_results": r"describe_results\.py",
    "plan": r"plan\.py",
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
USUAL = 2.0  # seconds of a job without a benchmark
PATIENCE = 300  # seconds in which an interrupted Snakemake should end


def write_studies(project):
    """Write the studies and a config that runs both, with everything that is optional."""
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
            # What a shell starts in the background ignores SIGINT, and so do all its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def jobs(snakemake, rules):
    """Return {rule: process} of the running jobs of a Snakemake, for some rules."""
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


def interrupt(project, pending, moments, duration, *arguments):
    """Run Snakemake until a job of a rule in `pending` runs; send its whole group a signal at a random moment of it.

    pending: Counter of (rule, signal); moments: a random.Random; duration: {rule: seconds}.
    Returns (rule, signal, whether the job was still running), or None if Snakemake came to its end.
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
    kind = moments.choice([kind for name, kind in sorted(pending) if name == rule])
    time.sleep(moments.uniform(0, 0.9 * duration.get(rule, USUAL)))
    hit = job.is_running() and job.status() != psutil.STATUS_ZOMBIE
    os.killpg(snakemake.pid, kind)
    snakemake.wait(PATIENCE)
    while group_lives(snakemake.pid):
        time.sleep(0.01)
    if kind == signal.SIGKILL:
        assert project.run("snakemake", "--unlock").returncode == 0
    return rule, kind, hit and snakemake.returncode != 0


def group_lives(group):
    """Tell whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def interrupt_until_done(project, reference, pending, seed, duration, *arguments):
    """Interrupt runs until nothing is pending, then let one finish; return (Counters of hits and misses, differences).

    A run that comes to its end before is compared with `reference`, and the project is emptied. A miss is a signal that
    came just after the end of the job for which it was meant; it hit what ran then.
    """
    pending, hits, misses, different = Counter(pending), Counter(), Counter(), {}
    moments = random.Random(seed)
    while pending:
        interrupted = interrupt(project, pending, moments, duration, *arguments)
        if interrupted:
            rule, kind, hit = interrupted
            (hits if hit else misses)[rule, kind] += 1
            pending -= Counter([(rule, kind)] if hit else [])
            if not hit:  # the machine is faster now than when the durations were measured
                duration = duration | {rule: 0.7 * duration.get(rule, USUAL)}
        else:
            different |= differences(project, reference)
            for place in ("results", "data", ".snakemake"):
                shutil.rmtree(project.folder / place, ignore_errors=True)
    project.snakemake()
    return hits, misses, different | differences(project, reference)


def durations(project):
    """Return {rule: seconds of its longest job} of a finished project, from its benchmark files."""
    seconds = {}
    for file in project.folder.glob("results/**/benchmarks/**/*.tsv"):
        rule = file.relative_to(project.folder).as_posix().split("benchmarks/")[1].split("/")[0].removesuffix(".tsv")
        value = float(file.read_text().splitlines()[1].split()[0])
        seconds[rule] = max(value, seconds.get(rule, 0))
    seconds["train, second stage"] = seconds["train"]
    seconds["dump_activations_for_a_while"] = seconds["dump_activations"]
    return seconds


def content(path):
    """Return the content of a result without the times that searches and jobs took.

    Checkpoints and HDF5 files: tensors, data sets and attributes. The report, which shows run times: its end. Logs,
    benchmarks and locks: None. Other files, among them tables and figures: their bytes.
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
    """Return an HDF5 attribute as plain Python; JSON text is parsed."""
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    if isinstance(value, bytes) and value.startswith(b"{"):
        return json.loads(value)
    return value


def without_times(value):
    """Return plain Python without its keys "seconds", and without the checksums of their content."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in ("seconds", "checksum")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def files_of(project):
    """Return the paths of what a project has made: results, data, and Snakemake's marks of unfinished jobs."""
    places = [project.folder / place for place in ("results", "data", ".snakemake/incomplete", ".snakemake/locks")]
    return {
        file.relative_to(project.folder)
        for place in places
        for file in place.rglob("*")
        if not file.is_dir() and file.name != "plan.log"
    }


def differences(project, reference):
    """Return what differs from an undisturbed run: {path: "missing", "left over" or "differs"}."""
    mine, theirs = files_of(project), files_of(reference)
    different = {
        path: "differs" for path in mine & theirs if content(project.folder / path) != content(reference.folder / path)
    }
    return different | dict.fromkeys(theirs - mine, "missing") | dict.fromkeys(mine - theirs, "left over")
