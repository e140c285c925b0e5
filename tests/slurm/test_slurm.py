"""The workflow on a real Slurm cluster of one node, undisturbed and through what happens to jobs there."""

import os
import subprocess
import time

import pytest
from cluster import CannotStart, cluster, query
from conftest import STUDY, copy_project

# A model that waits in its tenth training step for as long as a file says, and computes the same without it.
HELD = """
import itertools
import time
from pathlib import Path

from torch import nn


def perceptron(data, *, number: int):
    steps, file = itertools.count(), Path(f"held/{number}")

    def wait(model, inputs):
        if model.training and next(steps) == 9 and file.exists():
            file.write_text("here")
            while file.exists():
                time.sleep(0.1)

    model = nn.Sequential()
    model.add_module("hidden", nn.Sequential(nn.Flatten(), nn.Linear(data.shape[1] * data.shape[2], 16), nn.ReLU()))
    model.add_module("classifier", nn.Linear(16, data.classes))
    model.layers = ("hidden",)
    model.register_forward_pre_hook(wait)
    return model
"""
CANCELED, TIMED_OUT, REQUEUED, DRAINED, DOWN = range(5)
FAULTS = STUDY | {
    "dataset": {"name": "digits", "train_size": 100},  # 2 steps an epoch
    "model": {"name": "held:perceptron"},
    "training": {"lr": 0.1, "batch_size": 50, "epochs": 8},
    "grid": [{"number": [CANCELED, TIMED_OUT, REQUEUED, DRAINED, DOWN]}],
    "checkpoints": [1, 2, 3, 4, 8],
    "activations": {"at": [8], "layers": ["hidden"]},
    "figures": ["id_over_depth"],
}


@pytest.fixture(scope="module")
def slurm():
    """The environment for the commands of a running cluster; skipped where there can be none, but not in CI."""
    try:
        with cluster() as environment:
            yield environment
    except CannotStart as reason:
        if os.environ.get("ACTDIM_TEST_SLURM") == "required":
            raise
        pytest.skip(f"no Slurm cluster: {reason}")


def snakemake(project, slurm, *arguments):
    """Start Snakemake on the cluster, which it asks for states more often than the profile says."""
    return subprocess.Popen(
        ["snakemake", "--profile", "slurm", "--slurm-init-seconds-before-status-checks", "2", *arguments],
        cwd=project.folder,
        env=project.environment(slurm),
        stdout=open(project.folder / "snakemake.out", "w"),
        stderr=subprocess.STDOUT,
    )


def finish(process, project, seconds=300):
    """Wait for a started Snakemake; fail the test with its output if it fails."""
    try:
        failed = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        failed = True
    assert not failed, (project.folder / "snakemake.out").read_text()[-20000:]


def submissions(slurm, since, *columns):
    """Return what accounting says of the jobs submitted since a number, a list for each."""
    rows = query(
        slurm, "sacct", "-X", "--noheader", "--parsable2", f"--format={','.join(('JobIDRaw', *columns))}"
    ).splitlines()
    return [row for row in (line.split("|") for line in rows) if int(row[0]) > since]


def tables(project):
    return {file.name: file.read_text() for file in sorted((project.folder / "results/tables").iterdir())}


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def survived(slurm, tmp_path_factory):
    """A project whose trainings were disturbed on the cluster, each in its own way, and one that ran here."""
    folder = tmp_path_factory.mktemp("faults")
    disturbed, local = (copy_project(folder / name) for name in ("disturbed", "local"))
    for project in (disturbed, local):
        (project.folder / "held.py").write_text(HELD)
        project.write(FAULTS, name="faults")
    held = disturbed.folder / "held"
    held.mkdir()
    for number in range(5):
        (held / str(number)).touch()
    process = snakemake(disturbed, slurm, "--set-resources", "train:runtime=30*attempt")
    try:
        disturb(slurm, disturbed.folder)
        finish(process, disturbed)
    finally:
        process.kill()
    local.snakemake()
    return disturbed, local


def disturb(slurm, folder):
    """Hit each training once, while it waits in its fifth epoch."""
    held = {number: folder / f"held/{number}" for number in range(5)}

    def state(number):
        return query(slurm, "sacct", "-X", "--noheader", "--parsable2", "--format=State", f"--jobs={job[number]}")

    def node(state):
        query(slurm, "scontrol", "update", f"nodename={name}", f"state={state}", "reason=test")

    def trained(number):
        return (folder / f"results/faults/number~{number}/seed~0/checkpoints/to~8").exists()

    for number in held:
        until(lambda number=number: held[number].read_text() == "here")
    name = query(slurm, "sinfo", "--noheader", "--format=%n")
    comments = [line.split() for line in query(slurm, "squeue", "--noheader", "--format=%i %k").splitlines()]
    job = {number: next(job for job, comment in comments if f"number~{number}_" in comment) for number in held}

    query(slurm, "scancel", job[CANCELED])
    query(slurm, "scontrol", "update", f"jobid={job[TIMED_OUT]}", "EndTime=now+1")
    query(slurm, "scontrol", "requeue", job[REQUEUED])
    node("drain")
    query(slurm, "scontrol", "requeue", job[DRAINED])
    for number, expected in ((CANCELED, "CANCELLED"), (REQUEUED, "PENDING"), (DRAINED, "PENDING"), (TIMED_OUT, "TIMEOUT")):
        until(lambda number=number, expected=expected: state(number).startswith(expected))
        held[number].unlink()
    node("resume")
    for number in (CANCELED, TIMED_OUT, DRAINED, REQUEUED):
        until(lambda number=number: trained(number))

    node("down")
    until(lambda: state(DOWN) != "RUNNING")
    held[DOWN].unlink()
    node("resume")


@pytest.mark.parametrize("number", [CANCELED, TIMED_OUT, REQUEUED, DRAINED, DOWN])
def test_a_training_goes_on_from_its_resume_state(survived, number):
    disturbed, _ = survived
    log = (disturbed.folder / f"results/faults/number~{number}/seed~0/logs/train/to~8.log").read_text()
    assert "training on cpu from epoch 4 to 8" in log


def test_the_tables_equal_those_of_a_local_run(survived):
    disturbed, local = survived
    assert tables(disturbed) == tables(local)
