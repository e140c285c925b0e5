"""Two Snakemakes in one folder and in two; what a killed one leaves; folders in which nothing can be run."""

import os
import re
import signal
import time

import psutil
import pytest
from actdim.workflow import locks
from conftest import copy_project

from faults.harness import content, group_lives, jobs, start

RUN = "results/tiny/weight_decay~0.01/seed~0"
TARGET = f"{RUN}/id/twonn/00004/hidden1.json"
REFUSED = "Error: Directory cannot be locked. Please make sure that no other Snakemake process is trying to create"


def said(project):
    """What the Snakemake that was started last has printed."""
    return project.folder.with_suffix(".log").read_text()


def wait_for_job(project, rule, snakemake):
    """Wait until a job of a rule runs; return its process."""
    while not (found := jobs(snakemake, [rule])):
        assert snakemake.poll() is None, said(project)
        time.sleep(0.02)
    return found[rule]


def kill(snakemake):
    """SIGKILL the whole group of a Snakemake, and wait until it is gone."""
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    while group_lives(snakemake.pid):
        time.sleep(0.02)


def assert_as_finished(project, finished):
    """What the target needed is as in the finished project."""
    for path in (f"{RUN}/checkpoints/to~4/00004.pt", f"{RUN}/neighbors/00004/hidden1.h5", TARGET):
        assert content(project.folder / path) == content(finished.folder / path), path


def test_a_second_snakemake_is_refused_and_the_first_undisturbed(project, finished):
    first = start(project, TARGET)
    job = wait_for_job(project, "train", first)
    job.suspend()
    try:
        second = project.run("snakemake", "--cores", "2", TARGET)
    finally:
        job.resume()
    assert second.returncode == 1
    assert REFUSED in second.stderr
    assert not re.search("^Removed", second.stderr, re.MULTILINE)
    assert first.wait() == 0, said(project)
    assert_as_finished(project, finished)


def test_two_folders_share_nothing(project, finished, tmp_path):
    other = copy_project(tmp_path / "other")
    other.write()
    runs = [(one, start(one, TARGET)) for one in (project, other)]
    for one, snakemake in runs:
        assert snakemake.wait() == 0, said(one)
        assert_as_finished(one, finished)


def test_jobs_that_outlive_their_snakemake_are_not_run_twice(project, finished):
    """The one that comes meanwhile is refused by a line; the next one takes over what they have left, done or not."""
    first = start(project, TARGET)
    job = wait_for_job(project, "train", first)
    job.suspend()
    first.kill()
    first.wait()
    try:
        done = project.run("snakemake", "--cores", "2", TARGET)
    finally:
        job.resume()
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "profile" not in line]
    job_of = f"process {job.pid}: train.py"
    assert lines == [f"jobs of a Snakemake that was killed still run here ({job_of}); wait for them or stop them"]
    psutil.wait_procs([job])
    done = project.snakemake(TARGET)
    assert "Removed the lock of a Snakemake that was killed." in done.stderr
    assert_as_finished(project, finished)
    log = (project.folder / f"{RUN}/logs/train/to~4.log").read_text()
    assert log.startswith("training on cpu from epoch 4 to 4"), "trained twice"


@pytest.mark.parametrize(
    "lines", [["another machine", "0123"], locks.ELSEWHERE], ids=["of another machine", "of jobs on a cluster"]
)
def test_a_lock_stays_where_nobody_can_tell_from_here_what_lives(lines, project):
    first = start(project, TARGET)
    wait_for_job(project, "train", first)
    kill(first)
    with open(project.folder / locks.SNAKEMAKE, "a") as lock:
        locks.sign(lock, lines)
    done = project.run("snakemake", "--cores", "2", TARGET)
    assert done.returncode == 1
    assert REFUSED in done.stderr
    assert project.run("snakemake", "--unlock").returncode == 0
    assert project.planned()


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        ("gone", "scripts/plot_llid.py: no such program, or not executable; restore it"),
        ("not executable", "scripts/plot_llid.py: no such program, or not executable; restore it"),
    ],
)
def test_a_missing_program(harm, line, project):
    program = project.folder / "scripts/plot_llid.py"
    program.unlink() if harm == "gone" else program.chmod(0o644)
    done = project.run("snakemake", "--cores", "2")
    assert done.returncode == 1
    assert [one for one in done.stderr.splitlines() if "profile" not in one] == [line]


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("results", "results: read-only; nothing can be run here"),
        (".", ".snakemake/actdim.snakemake.lock: Read-only file system; Snakemake keeps its records there"),
    ],
)
def test_a_read_only_folder(place, line, done, read_only):
    """One line; what is there is not touched."""
    (done.folder / TARGET).unlink()
    folder = done.folder / place
    read_only(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    ran = done.run("snakemake", "--cores", "2", TARGET)
    assert ran.returncode == 1
    assert [one for one in ran.stderr.splitlines() if one == line] == [line], ran.stderr
    assert "Traceback" not in ran.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
