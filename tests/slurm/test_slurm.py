"""The workflow on a real Slurm cluster of one node, undisturbed and through what happens to jobs there."""

import os
import subprocess
from contextlib import ExitStack

import cluster as clusters
import pytest
from cluster import ClusterError, cluster, query
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
    """The environment for the commands of a running cluster."""
    with ExitStack() as stack:
        try:
            environment = stack.enter_context(cluster())
        except ClusterError as reason:
            if "REQUIRE_SLURM" in os.environ:  # as in CI
                raise
            pytest.skip(f"no Slurm cluster: {reason}")
        yield environment


def snakemake(project, slurm, *arguments):
    """Start Snakemake on the cluster, which it asks for states more often than the profile says."""
    with open(project.folder / "snakemake.out", "w") as output:
        return subprocess.Popen(
            ["snakemake", "--profile", "slurm", "--slurm-init-seconds-before-status-checks", "2", *arguments],
            cwd=project.folder,
            env=project.environment(slurm),
            stdout=output,
            stderr=output,
        )


def finish(process, project):
    """Wait for a started Snakemake; fail the test with its output if it fails."""
    try:
        failed = process.wait(900)
    finally:
        process.kill()
    assert not failed, (project.folder / "snakemake.out").read_text()[-20000:]


def accounted(slurm, *columns):
    """Return what accounting says of every job there was, in their order: a list of the columns for each."""
    listed = query(slurm, "sacct", "-X", "--noheader", "--parsable2", f"--format={','.join(columns)}")
    return [line.split("|") for line in listed.splitlines()]


def tables(project):
    return {file.name: file.read_text() for file in sorted((project.folder / "results/tables").iterdir())}


def until(condition):
    clusters.wait_for(condition, "what the test expects", seconds=300)


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
    except BaseException:
        process.kill()
        raise
    finish(process, disturbed)
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
    ended = {CANCELED: "CANCELLED", TIMED_OUT: "TIMEOUT", REQUEUED: "PENDING", DRAINED: "PENDING"}
    for number, expected in ended.items():
        until(lambda number=number, expected=expected: state(number).startswith(expected))
        held[number].unlink()
    node("resume")
    until(lambda: all(map(trained, (CANCELED, TIMED_OUT, REQUEUED, DRAINED))))

    node("down")
    until(lambda: state(DOWN) != "RUNNING")
    held[DOWN].unlink()
    node("resume")


def test_a_study_is_few_submissions_on_the_partition_and_account_of_the_profile(slurm, tmp_path):
    project = copy_project(tmp_path / "project")
    project.write(
        STUDY | {"model": {"name": "mlp", "width": 16, "depth": 4}, "grid": [{}], "figures": ["id_over_depth"]}
    )
    profile = project.folder / "slurm/config.yaml"
    filled_in = profile.read_text().replace("#slurm_partition: normal", "slurm_partition: test")
    profile.write_text(filled_in.replace("#slurm_account: my_project", "slurm_account: science"))
    before = len(accounted(slurm, "JobID"))
    planned = sum(project.planned().values())
    finish(snakemake(project, slurm), project)
    jobs = accounted(slurm, "State", "Partition", "Account")[before:]
    assert {tuple(job) for job in jobs} == {("COMPLETED", "test", "science")}
    assert 5 * len(jobs) <= planned - 1  # the report, which runs here
    assert project.planned() == {}


@pytest.mark.parametrize("number", [CANCELED, TIMED_OUT, REQUEUED, DRAINED, DOWN])
def test_a_training_goes_on_from_its_resume_state(survived, number):
    disturbed, _ = survived
    log = (disturbed.folder / f"results/faults/number~{number}/seed~0/logs/train/to~8.log").read_text()
    assert "training on cpu from epoch 4 to 8" in log


def test_a_training_that_hit_its_time_limit_gets_more_and_one_that_slurm_requeued_stays_one_job(slurm, survived):
    tries = {number: [] for number in range(5)}
    for comment, limit, state in accounted(slurm, "Comment", "TimelimitRaw", "State"):
        for number in tries:
            if comment.startswith(f"rule_train_wildcards_faults_number~{number}_"):
                tries[number].append((limit, state.split()[0]))
    assert tries[TIMED_OUT] == [("30", "TIMEOUT"), ("60", "COMPLETED")]
    assert [state for _, state in tries[CANCELED]] == ["CANCELLED", "COMPLETED"]
    for number in (REQUEUED, DRAINED, DOWN):
        assert tries[number] == [("30", "COMPLETED")]


def test_the_tables_equal_those_of_a_local_run(survived):
    disturbed, local = survived
    assert tables(disturbed) == tables(local)


def test_a_cluster_stops_nothing_but_its_own(slurm):
    with cluster() as other:
        assert slurm["SLURM_CONF"] != other["SLURM_CONF"]
        folder = os.path.dirname(other["SLURM_CONF"])
        query(other, "sbatch", "--wrap", "sleep 600")
    assert query(slurm, "srun", "echo", "it runs") == "it runs"
    assert folder not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_the_reason_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(clusters, "PATH", "/nowhere")
    with pytest.raises(ClusterError, match=r"there is no mariadbd, .* sbatch"), cluster():
        pass
