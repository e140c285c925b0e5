"""The next run after a kill (`snakemake --unlock` first) or damage; two Snakemakes at once; read-only folders."""

import os
import shutil
import signal
import time

import psutil
import pytest
from conftest import copy_project

from faults.harness import content, group_lives, jobs, start

RUN = "results/tiny/weight_decay~0.01/seed~0"
CHECKPOINTS = f"{RUN}/checkpoints/to~4"
TARGET = f"{RUN}/id/twonn/00004/hidden1.json"
LOCKED = "Error: Directory cannot be locked."


def said(project):
    """What the Snakemake that was started last has printed."""
    return project.folder.with_suffix(".log").read_text()


def log_of_training(project):
    log = project.folder / f"{RUN}/logs/train/to~4.log"
    return log.read_text() if log.exists() else ""


def wait_until(condition, snakemake, project):
    """Wait for a condition while a Snakemake runs; return what it gave."""
    while not (given := condition()):
        assert snakemake.poll() is None, said(project)
        time.sleep(0.02)
    return given


def wait_for_training(project, snakemake):
    """Wait until a training is at work; return its process."""
    job = wait_until(lambda: jobs(snakemake, ["train"]), snakemake, project)["train"]
    wait_until(lambda: "training on cpu" in log_of_training(project), snakemake, project)
    return job


def kill(snakemake):
    """SIGKILL the whole group of a Snakemake, and wait until it is gone."""
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    while group_lives(snakemake.pid):
        time.sleep(0.02)


def refused(project):
    """Run Snakemake, which the lock of another one refuses; return what it said."""
    done = project.run("snakemake", "--cores", "2", TARGET)
    assert done.returncode == 1
    assert LOCKED in done.stderr
    return done.stderr


def unlock(project):
    assert "--unlock" in refused(project)
    assert project.run("snakemake", "--unlock").returncode == 0


def checkpoints(project):
    """The checkpoints of a run's last stage: {name: (inode, time of last change)}."""
    files = (project.folder / CHECKPOINTS).glob("*.pt")
    return {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def assert_as_finished(project, finished):
    """What the target needed is as in the finished project, and nothing half-written is left."""
    for path in (f"{CHECKPOINTS}/00004.pt", f"{RUN}/neighbors/00004/hidden1.h5", TARGET):
        assert content(project.folder / path) == content(finished.folder / path), path
    assert not [*project.folder.rglob("*.part"), *project.folder.rglob("state.pt")]


def test_a_training_whose_end_nobody_saw_is_not_repeated(project, finished):
    """Snakemake is killed after a training ended, before it knows; the next one deletes the output as incomplete."""
    first = start(project, TARGET)
    wait_for_training(project, first)
    first.send_signal(signal.SIGSTOP)
    output = project.folder / CHECKPOINTS
    while not output.exists():
        time.sleep(0.02)
    trained = checkpoints(project)
    kill(first)
    unlock(project)
    project.snakemake(TARGET)
    assert checkpoints(project) == trained
    assert log_of_training(project).splitlines()[-1].startswith("nothing to train: ")
    assert_as_finished(project, finished)


def test_a_training_that_outlives_its_snakemake_is_waited_for(project, finished):
    first = start(project, TARGET)
    job = wait_for_training(project, first)
    job.suspend()
    first.kill()
    first.wait()
    unlock(project)
    second = start(project, TARGET)
    try:
        wait_until(lambda: "waiting to train in " in log_of_training(project), second, project)
        assert not (project.folder / CHECKPOINTS).exists()
    finally:
        job.resume()
    psutil.wait_procs([job])
    assert second.wait() == 0, said(project)
    assert log_of_training(project).splitlines()[-1].startswith("nothing to train: ")
    assert_as_finished(project, finished)


@pytest.mark.parametrize("seconds", [0, 0.1, 0.2, 0.4])
def test_all_killed_in_a_training(seconds, project, finished):
    """The next run goes on from the last state."""
    first = start(project, TARGET)
    wait_for_training(project, first)
    time.sleep(seconds)
    kill(first)
    unlock(project)
    project.snakemake(TARGET)
    assert_as_finished(project, finished)


def test_a_corrupt_checkpoint_stops_the_run_and_the_advice_repairs_it(done, finished):
    """The line that says what to do comes last, also in a quiet run. The intact checkpoint is not trained again."""
    for path in (TARGET, f"{RUN}/neighbors", f"{RUN}/activations"):
        path = done.folder / path
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    output = done.folder / CHECKPOINTS
    os.rename(output, output.with_name("aside"))
    done.snakemake(CHECKPOINTS)  # because a copy of a project has no hard links
    with open(output / "00004.pt", "r+b") as file:
        file.write(b"corrupt")
    ran = done.run("snakemake", "--cores", "2", "--quiet", "rules", "progress", "--", TARGET)
    assert ran.returncode == 1
    own = ("Error", "Complete log", "complete", "Elapsed time")  # Snakemake's last lines
    line = next(line for line in reversed(ran.stderr.splitlines()) if not any(word in line for word in own))
    assert line.startswith(f"dump_activations.py: {CHECKPOINTS}/00004.pt: corrupt; ")
    assert f"delete the folder {CHECKPOINTS} and run snakemake again; what is intact comes back" in line
    trained = checkpoints(done)
    shutil.rmtree(output)
    done.snakemake(TARGET)
    assert "training on cpu from epoch 2 to 4" in log_of_training(done)
    assert checkpoints(done)["00002.pt"] == trained["00002.pt"]
    assert_as_finished(done, finished)


def test_a_second_snakemake_is_refused_and_the_first_undisturbed(project, finished):
    first = start(project, TARGET)
    job = wait_for_training(project, first)
    job.suspend()
    try:
        refused(project)
    finally:
        job.resume()
    assert first.wait() == 0, said(project)
    assert_as_finished(project, finished)


def test_two_folders_share_nothing(project, finished, tmp_path):
    other = copy_project(tmp_path / "other")
    other.write()
    runs = [(one, start(one, TARGET)) for one in (project, other)]
    for one, snakemake in runs:
        assert snakemake.wait() == 0, said(one)
        assert_as_finished(one, finished)


@pytest.mark.parametrize("harm", ["gone", "not executable"])
def test_a_missing_program(harm, project):
    program = project.folder / "scripts/plot_llid.py"
    program.unlink() if harm == "gone" else program.chmod(0o644)
    done = project.run("snakemake", "--cores", "2")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "profile" not in line]
    assert lines == ["scripts/plot_llid.py: no such program, or not executable; restore it"]


@pytest.mark.parametrize("place", ["results", "."])
def test_a_read_only_folder(place, done, read_only):
    """One line says so; what is there is not touched."""
    (done.folder / TARGET).unlink()
    folder = done.folder / place
    read_only(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    ran = done.run("snakemake", "--cores", "2", TARGET)
    assert ran.returncode == 1
    assert [line for line in ran.stderr.splitlines() if "ead-only" in line], ran.stderr
    assert "Traceback" not in ran.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
