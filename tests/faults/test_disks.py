"""Disks that are full, read-only or out of inodes: one line names the file, and no result is incomplete."""

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import threading

import pytest
from actdim.errors import NoSpace
from conftest import ROOT, serving
from download_dataset import download
from test_download import offer

from faults.harness import RULES, content, differences

RUN = "results/tiny/weight_decay~0.01/seed~0"
FULL = r"^{program}\.py: \S*{file}: no space left on its disk; it needs (more than )?[\d,]+ bytes, and [\d,]+ are free$"
# {program: (its options without outputs, {option: output})}, one for each kind of output, on the finished tiny study
PROGRAMS = {
    "train": (["--study", "studies/tiny.yaml", "--set", "weight_decay=0"], {"output": "to~4"}),
    "dump_activations": (["--checkpoint", f"{RUN}/checkpoints/to~4/00004.pt"], {"output": "x.h5"}),
    "find_neighbors": (["--activations", f"{RUN}/activations/00004.h5", "--layer", "hidden1"], {"output": "x.h5"}),
    "estimate_id": (
        ["--neighbors", f"{RUN}/neighbors/00004/hidden1.h5", "--estimator", "twonn"],
        {"output": "x.json"},
    ),
    "tabulate_predictors": (
        ["--measures", "results/tables/measures.csv"],
        {"predictors": "x.csv", "findings": "x.txt"},
    ),
    "plot_llid": (
        ["--summary", "results/tables/summary.csv", "--study", "tiny", "--estimator", "twonn"],
        {"svg": "x.svg", "png": "x.png"},
    ),
}


def by_hand(program, project, folder):
    """Run a program of a finished project with its outputs in a folder; return the finished process."""
    options, outputs = PROGRAMS[program]
    outputs = [part for name, file in outputs.items() for part in (f"--{name}", folder / file)]
    command = [sys.executable, ROOT / f"scripts/{program}.py", *options, *outputs]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True)


def fill(folder):
    """Fill the disk of a folder; return the file that fills it."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), open(ballast, "ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


@pytest.mark.parametrize("left", [0, 8192], ids=["nothing left", "two pages left"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_full_disk(program, left, finished, disk, tmp_path):
    """One line names the file and what it needs; nothing of it is left; with free space the program succeeds."""
    small = disk(tmp_path / "disk", "size=1m")
    ballast = fill(small)
    os.truncate(ballast, ballast.stat().st_size - left)
    done = by_hand(program, finished, small)
    if done.returncode == 0:
        assert left, "there was no room for anything"
        return
    assert done.returncode == 1
    assert re.search(FULL.format(program=program, file=r"/disk/[^:]*"), done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(small.rglob("*.part"))
    written = {file: content(small / file) for file in PROGRAMS[program][1].values() if (small / file).exists()}
    assert len(written) < len(PROGRAMS[program][1])
    ballast.unlink()
    assert by_hand(program, finished, small).returncode == 0
    assert written == {file: content(small / file) for file in written}, "whole, for another one had no room"


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("fault", ["read-only", "no inode left"])
def test_disk_that_takes_no_file(fault, program, finished, disk, tmp_path):
    small = disk(tmp_path / "disk", "size=1m,ro" if fault == "read-only" else "size=1m,nr_inodes=3")
    if fault == "no inode left":
        for name in ("one", "two"):
            (small / name).touch()
    done = by_hand(program, finished, small)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    reason = "Read-only file system" if fault == "read-only" else "(no room for another file|No space left on device)"
    assert re.search(rf"^{program}\.py: {small}/[^:]*: .*{reason}", done.stderr), done.stderr


def test_download_to_a_full_disk(disk, tmp_path, monkeypatch):
    small = disk(tmp_path / "disk", "size=1m")
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server") as address:
        offer("mnist", (tmp_path / "server", address), tmp_path / "published", monkeypatch)
        ballast = fill(small)
        os.truncate(ballast, ballast.stat().st_size - 32768)
        with pytest.raises(
            NoSpace, match=rf"^{small}/mnist: no space left on its disk; it needs more than [\d,]+ bytes"
        ):
            download("mnist", small / "mnist")
        assert [file.name for file in small.iterdir()] == ["ballast"]
        ballast.unlink()
        download("mnist", small / "mnist")


def snakemake(project, *arguments):
    """Run Snakemake on a full disk; return the finished process and the lines that say so."""
    done = project.run("snakemake", "--cores", "2", *arguments)
    said = done.stdout + done.stderr
    return done, [
        line for line in said.splitlines() if re.search("no space left on|no room for another file", line, re.I)
    ]


@contextlib.contextmanager
def kept_full(folder):
    """Fill the disk of a folder whenever space becomes free, as another program might."""
    stop = threading.Event()

    def hog():
        while not stop.wait(0.001):
            fill(folder)

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        (folder / "ballast").unlink()


def test_a_full_disk_has_no_room_for_the_log_either(done, finished, disk):
    """The line goes to Snakemake's own output; with free space the job succeeds."""
    target = f"{RUN}/id/twonn/00004/hidden1.json"
    results = disk(done.folder / "results", "size=20m")
    shutil.copytree(finished.folder / "results", results, dirs_exist_ok=True)
    (done.folder / target).unlink()
    with kept_full(results):
        ran, lines = snakemake(done, target)
    assert ran.returncode == 1
    log = done.folder / f"{RUN}/logs/estimate_id/twonn/00004/hidden1.log"  # where the program prints its result first
    assert f"estimate_id.py: {log}: no space left on the disk of this log" in lines, ran.stderr
    assert not (done.folder / target).exists()
    done.snakemake(target)
    assert content(done.folder / target) == content(finished.folder / target)


@pytest.mark.slow_faults
def test_a_disk_that_stays_full_in_every_rule(fresh, undisturbed, disk, capsys):
    """The disk stays full, for outputs and logs, while the jobs of one rule after another run; then they run again."""
    results, unnamed = disk(fresh.folder / "results", "size=50m"), []
    rules = [rule for rule in RULES if rule not in ("plan", "train, second stage")]
    for rule in rules:
        with kept_full(results):
            done, lines = snakemake(fresh, "--until", rule)
        assert done.returncode == 1, rule
        assert lines, (rule, done.stderr)
        if not any(re.search(r"^\w+\.py: \S+: no space left on its disk", line) for line in lines):
            unnamed.append(rule)
        if rule == "train":  # --until stops after the first stage
            fresh.snakemake("results/tables/training.csv")
            (fresh.folder / "results/tables/training.csv").unlink()
        else:
            fresh.snakemake("--until", rule)
    fresh.snakemake()
    different = differences(fresh, undisturbed)
    with capsys.disabled():
        print(f"\nfull disk: {len(rules)} rules, the file not named by {unnamed}; results lost: {len(different)}")
    assert not different


def of_size(folder):
    """Return the used pages of a disk, and the mount option that limits them."""
    return shutil.disk_usage(folder).used // 4096, "nr_blocks"


def of_files(folder):
    """Return the used inodes of a disk, and the mount option that limits them."""
    disk = os.statvfs(folder)
    return disk.f_files - disk.f_ffree, "nr_inodes"


@pytest.mark.slow_faults
@pytest.mark.parametrize("limit", [of_size, of_files])
def test_a_disk_that_fills_up_again_and_again(limit, every_rule, undisturbed, disk, tmp_path, capsys):
    """The project with Snakemake's own records is on a disk that grows a little after each failed run."""
    small, moments = disk(tmp_path / "project", "size=50m"), random.Random(0)
    project = every_rule.copy(small)
    taken, option = limit(small)
    room, faults = taken + 2, 0
    while True:
        subprocess.run(["mount", "-o", f"remount,{option}={room}", small], check=True)
        done, lines = snakemake(project)
        if done.returncode == 0:
            break
        assert lines, done.stderr
        faults += 1
        room = int(room * moments.uniform(1.01, 1.2))
    different = differences(project, undisturbed)
    with capsys.disabled():
        print(f"\na disk that fills up: {faults} times full, {option}={room} at last; results lost: {len(different)}")
    assert not different
