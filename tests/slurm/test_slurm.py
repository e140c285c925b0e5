"""The workflow on a real Slurm cluster of one node: undisturbed, and with jobs canceled, requeued or killed."""

import os
import subprocess
from contextlib import ExitStack

import cluster as clusters
import pytest
from cluster import ClusterError, cluster, query
from conftest import STUDY, copy_project

# A model that waits in its tenth training step as long as a file exists; the file changes no number.
HELD = """
import itertools
import os
import time
from pathlib import Path

from torch import nn


def perceptron(data, *, number: int):
    steps, file = itertools.count(), Path(f"held/{number}")

    def wait(model, inputs):
        if model.training and next(steps) == 9 and file.exists():
            file.write_text(str(os.getpid()))
            while file.exists():
                time.sleep(0.1)

    model = nn.Sequential()
    model.add_module("hidden", nn.Sequential(nn.Flatten(), nn.Linear(data.shape[1] * data.shape[2], 16), nn.ReLU()))
    model.add_module("classifier", nn.Linear(16, data.classes))
    model.layers = ("hidden",)
    model.register_forward_pre_hook(wait)
    return model
"""
CANCELED, TIMED_OUT, REQUEUED, DOWN = range(4)
FAULTS = STUDY | {
    "dataset": {"name": "digits", "train_size": 100},  # 2 steps an epoch
    "model": {"name": "held:perceptron"},
    "training": {"lr": 0.1, "batch_size": 50, "epochs": 8},
    "grid": [{"number": [CANCELED, TIMED_OUT, REQUEUED, DOWN]}],
    "checkpoints": [1, 2, 3, 4, 8],
    "activations": {"at": [8], "layers": ["hidden"]},
    "figures": [],
}
TABLES = ["results/tables/id.csv", "results/tables/summary.csv", "results/tables/training.csv"]


@pytest.fixture(scope="module")
def slurm():
    """The environment for commands on a running cluster."""
    with ExitStack() as stack:
        try:
            environment = stack.enter_context(cluster())
        except ClusterError as reason:
            if "REQUIRE_SLURM" in os.environ:  # as in CI
                raise
            pytest.skip(f"no Slurm cluster: {reason}")
        yield environment


def snakemake(project, slurm, *arguments):
    """Start Snakemake on the cluster; it asks for the states of jobs more often than the profile says."""
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


def accounted(slurm, project, *columns):
    """Return the accounting's rows for the jobs of a project, in their order, as lists of the given columns."""
    wanted = ",".join(("WorkDir", *columns))
    listed = query(slurm, "sacct", "-X", "--noheader", "--parsable2", f"--format={wanted}")
    rows = [line.split("|") for line in listed.splitlines()]
    return [row[1:] for row in rows if row[0] == str(project.folder)]


def tables(project):
    return {name: (project.folder / name).read_text() for name in TABLES}


def until(condition):
    clusters.wait_for(condition, "what the test expects", seconds=300)


@pytest.fixture(scope="module")
def survived(slurm, tmp_path_factory):
    """(A project whose trainings were disturbed on the cluster, each in another way; the same project run locally)."""
    folder = tmp_path_factory.mktemp("faults")
    disturbed, local = (copy_project(folder / name) for name in ("disturbed", "local"))
    for project in (disturbed, local):
        (project.folder / "held.py").write_text(HELD)
        project.write(FAULTS, name="faults")
    held = disturbed.folder / "held"
    held.mkdir()
    for number in range(4):
        (held / str(number)).touch()
    process = snakemake(disturbed, slurm, *TABLES)
    try:
        disturb(slurm, disturbed)
    except BaseException:
        process.kill()
        raise
    finish(process, disturbed)
    local.snakemake(*TABLES)
    return disturbed, local


def disturb(slurm, disturbed):
    """Disturb each training once, while it waits in its fifth epoch."""
    held = {number: disturbed.folder / f"held/{number}" for number in range(4)}

    def state(number):
        return query(slurm, "sacct", "-X", "--noheader", "--parsable2", "--format=State", f"--jobs={job[number]}")

    def node(state):
        query(slurm, "scontrol", "update", f"nodename={name}", f"state={state}", "reason=test")

    def trained():
        jobs = accounted(slurm, disturbed, "State", "Comment")
        return sum(state == "COMPLETED" and comment.startswith("rule_train") for state, comment in jobs)

    def let_go(number, expected):
        until(lambda: state(number).startswith(expected) and not os.path.exists(f"/proc/{process[number]}"))
        held[number].unlink()

    until(lambda: all(file.read_text() for file in held.values()))
    process = {number: file.read_text() for number, file in held.items()}
    name = query(slurm, "sinfo", "--noheader", "--format=%n")
    comments = [line.split() for line in query(slurm, "squeue", "--noheader", "--format=%i %k").splitlines()]
    job = {number: next(job for job, comment in comments if f"number~{number}_" in comment) for number in held}

    query(slurm, "scancel", job[CANCELED])
    query(slurm, "scontrol", "update", f"jobid={job[TIMED_OUT]}", "EndTime=now+1")
    node("drain")
    query(slurm, "scontrol", "requeue", job[REQUEUED])
    let_go(CANCELED, "CANCELLED")
    let_go(TIMED_OUT, "TIMEOUT")
    let_go(REQUEUED, "PENDING")
    node("resume")
    until(lambda: trained() == len(held) - 1)  # the next fault hits all running jobs

    node("down")
    let_go(DOWN, "PENDING")
    node("resume")


def test_a_study_is_few_submissions_and_the_profile_says_where_and_for_which_a_gpu(slurm, tmp_path):
    project = copy_project(tmp_path / "project")
    study = {"model": {"name": "mlp", "width": 16, "depth": 4}, "grid": [{}], "figures": ["id_over_depth"]}
    project.write(STUDY | study)
    profile = project.folder / "slurm/config.yaml"
    text = profile.read_text()
    for commented, filled_in in {
        "#slurm_partition: normal": "slurm_partition: test",
        "#slurm_account: my_project": "slurm_account: science",
        "#set-resources:\n#  train: {gpu: 1}": "set-resources:\n  train: {gpu: 1}",
    }.items():
        assert commented in text
        text = text.replace(commented, filled_in)
    profile.write_text(text)
    planned = sum(project.planned().values()) - 1  # describe_results runs here
    finish(snakemake(project, slurm), project)
    assert project.planned() == {}
    jobs = accounted(slurm, project, "State", "Partition", "Account", "Comment", "AllocTRES")
    assert 5 * len(jobs) <= planned
    assert {tuple(job[:3]) for job in jobs} == {("COMPLETED", "test", "science")}
    on_gpu = [comment for _, _, _, comment, resources in jobs if "gres/gpu=1" in resources]
    assert on_gpu == ["rule_train_wildcards_tiny_seed~0_4"]
    assert all("cpu=1," in job[-1] for job in jobs)


@pytest.mark.parametrize("number", [CANCELED, TIMED_OUT, REQUEUED, DOWN])
def test_a_training_goes_on_from_its_resume_state(survived, number):
    disturbed, _ = survived
    log = (disturbed.folder / f"results/faults/number~{number}/seed~0/logs/train/to~8.log").read_text()
    assert "training on cpu from epoch 4 to 8" in log


def test_a_training_that_hit_its_time_limit_gets_more_and_one_that_slurm_requeued_stays_one_job(slurm, survived):
    tries = {number: [] for number in range(4)}
    for comment, limit, state in accounted(slurm, survived[0], "Comment", "TimelimitRaw", "State"):
        for number in tries:
            if comment.startswith(f"rule_train_wildcards_faults_number~{number}_"):
                tries[number].append((limit, state.split()[0]))
    first, second = (limits for limits, _ in tries[REQUEUED] + tries[CANCELED][1:])
    assert int(second) > int(first)
    assert tries[CANCELED] == [(first, "CANCELLED"), (second, "COMPLETED")]
    assert [state for _, state in tries[TIMED_OUT]] == ["TIMEOUT", "COMPLETED"]
    assert tries[TIMED_OUT][1][0] == second
    for number in (REQUEUED, DOWN):
        assert tries[number] == [(first, "COMPLETED")]


def test_the_tables_equal_those_of_a_local_run(survived):
    disturbed, local = survived
    assert tables(disturbed) == tables(local)


def test_a_killed_snakemake_trains_nothing_twice(slurm, tmp_path):
    """One training ends before the next Snakemake starts; the other is still running then, and is waited for."""
    project = copy_project(tmp_path / "project")
    (project.folder / "held.py").write_text(HELD)
    project.write(FAULTS | {"grid": [{"number": [0, 1]}]}, name="faults")
    held = [project.folder / f"held/{number}" for number in range(2)]
    held[0].parent.mkdir()
    for file in held:
        file.touch()
    runs = [project.folder / f"results/faults/number~{number}/seed~0" for number in range(2)]
    outputs = [run / "checkpoints/to~8" for run in runs]
    logs = [run / "logs/train/to~8.log" for run in runs]

    targets = [output.relative_to(project.folder) for output in outputs]

    first = snakemake(project, slurm, *targets)
    until(lambda: all(file.read_text() for file in held))
    first.kill()
    first.wait()
    held[0].unlink()
    until(outputs[0].exists)
    before = {file.name: file.stat().st_ino for file in outputs[0].iterdir()}
    assert project.run("snakemake", "--unlock").returncode == 0
    second = snakemake(project, slurm, *targets)
    until(lambda: logs[1].exists() and "waiting to train" in logs[1].read_text())
    held[1].unlink()
    finish(second, project)
    # The first training's job may have recorded its output itself, and is then not submitted again.
    # The killed Snakemake's job writes to the same log, at its own place in it.
    assert "nothing to train: " in logs[1].read_text()
    checkpoints = {file.name: file.stat().st_ino for file in outputs[0].glob("*.pt")}
    assert checkpoints.items() <= before.items()
    planned = project.snakemake("-n", *map(str, targets))
    assert "Nothing to be done" in planned.stdout + planned.stderr


def test_a_cluster_stops_nothing_but_its_own(slurm):
    with cluster() as other:
        assert slurm["SLURM_CONF"] != other["SLURM_CONF"]
        folder = os.path.dirname(other["SLURM_CONF"])
        query(other, "sbatch", "--output=/dev/null", "--wrap", "sleep 600")
    assert query(slurm, "srun", "echo", "it runs") == "it runs"
    assert folder not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_the_reason_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(clusters, "PATH", "/nowhere")
    with pytest.raises(ClusterError, match=r"there is no mariadbd, .* sbatch"), cluster():
        pass
