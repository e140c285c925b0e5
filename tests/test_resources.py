"""The memory and time that Snakemake requests for jobs, against what real jobs take."""

import copy
import re
import shutil

import pytest
from conftest import STUDY

MEASURE = (
    "import resource, subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1]], check=True);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)"
)
MINE = """
import numpy as np
from actdim.datasets import DataSet, Split


def noise(*, n: int = 100, size: int = 8) -> DataSet:
    def load():
        inputs = np.random.default_rng(0).standard_normal((n, size, size), dtype=np.float32)
        split = Split(inputs, np.arange(n) % 10, np.arange(n))
        return {"train": split, "validation": split}

    return DataSet((1, size, size), 10, {"train": n, "validation": n}, load)
"""


@pytest.fixture
def outspoken(project):
    """A project whose rules have no message, so that Snakemake prints everything about a job."""
    return without_messages(project)


def without_messages(project):
    for file in project.folder.glob("rules/*.smk"):
        file.write_text(re.sub(r"\n +message:\n +.*", "", file.read_text()))
    return project


def jobs(printed):
    """Return [(rule, MB, minutes, shell command)] of the jobs that Snakemake printed."""
    found = []
    for text in re.split(r"^(?:local)?rule ", printed, flags=re.M)[1:]:
        memory, time = (re.search(rf"resources: .*\b{name}=(\d+)", text) for name in ("mem_mb", "runtime"))
        shell = re.search(r"^Shell command: (.*)$", text, re.M)
        if memory:
            rule = text.partition(":")[0].removesuffix("_for_a_while")
            found.append((rule, int(memory[1]), int(time[1]), shell and shell[1]))
    return found


def most(project, study, *arguments):
    """Return {rule: (most MB, most minutes)} of the jobs of a study."""
    project.write(study, neighbors={"method": "exact"}, estimators={"twonn": {}, "pca": {}})
    asked = jobs(project.snakemake("-n", *arguments).stdout)
    return {
        rule: tuple(max(job[i] for job in asked if job[0] == rule) for i in (1, 2))
        for rule in {job[0] for job in asked}
    }


def test_a_bigger_study_asks_for_more(outspoken):
    (outspoken.folder / "mine.py").write_text(MINE)
    study = {
        "dataset": {"name": "mine:noise"},
        "model": {"name": "convnet", "width": 4},
        "training": {"lr": 0.1, "batch_size": 10, "epochs": 1},
        "grid": [{}],
        "checkpoints": [1],
        "activations": {"at": [1]},
        "directions": {"at": [1]},
        "functional_dimension": {"at": [1], "samples": 10, "memory": 20},
        "figures": ["id_over_depth"],
    }
    small = most(outspoken, study)
    bigger = copy.deepcopy(study)
    bigger["dataset"] |= {"n": 50_000, "size": 32}
    bigger["model"] |= {"width": 64, "depth": 4}
    bigger["training"] |= {"batch_size": 500, "epochs": 100}
    bigger |= {"seeds": list(range(60)), "checkpoints": [1, 100]}
    bigger["functional_dimension"]["samples"] = 1000
    big = most(outspoken, bigger)
    assert small.keys() == big.keys()
    memory = {rule for rule in small if big[rule][0] > small[rule][0]}
    time = {rule for rule in small if big[rule][1] > small[rule][1]}
    assert memory == small.keys()
    assert time >= {"train", "find_neighbors", "estimate_pca", "measure_directions", "measure_functional_dimension"}
    on_gpu = most(outspoken, bigger, "--set-resources", "train:gpu=1")
    assert on_gpu["train"][1] < big["train"][1] / 5
    assert on_gpu["train"][0] > big["train"][0], "CUDA takes memory"
    assert {rule: on_gpu[rule] for rule in on_gpu if rule != "train"} == {
        rule: big[rule] for rule in big if rule != "train"
    }


def test_a_job_that_is_tried_again_asks_for_more(outspoken):
    (outspoken.folder / "scripts/train.py").write_text("#!/usr/bin/env python\nraise SystemExit(1)\n")
    outspoken.write(STUDY | {"grid": [{}], "figures": ["id_over_depth"]})
    done = outspoken.run("snakemake", "--cores", "1", "--retries", "2")
    asked = [job[1:3] for job in jobs(done.stdout + done.stderr) if job[0] == "train"]
    assert asked == [(attempt * asked[0][0], attempt * asked[0][1]) for attempt in (1, 2, 3)]


def test_a_job_that_asks_for_more_memory_than_there_is_here(project):
    project.write(STUDY | {"model": {"name": "mlp", "width": 100_000}})  # 10^10 weights, of 24 bytes in training
    line = re.compile(r"^tiny: (\w+) requests (\d+) GB of memory for (\S+?)(, and .*)?; this machine has \d+ GB$", re.M)
    told = {rule: (int(gigabytes), path, more) for rule, gigabytes, path, more in line.findall(dry_run(project))}
    assert told.keys() == {"train", "dump_activations"}
    assert told["train"][0] > 240
    assert told["train"][1] == "results/tiny/weight_decay~0/seed~0/checkpoints/to~4"
    assert told["train"][2] == ", and too much for 2 more"
    chosen = ("--set-resources", "train:mem_mb=1000")  # the user knows better
    assert {rule for rule, *_ in line.findall(dry_run(project, *chosen))} == {"dump_activations"}
    assert not line.findall(dry_run(project, "--profile", "slurm")), "the machine here does not matter"


def dry_run(project, *arguments):
    return project.snakemake("-n", "--quiet", *arguments).stderr


def test_what_is_asked_for_covers_what_real_jobs_take(done):
    """One job of every rule of the tiny study, as Snakemake prints its command."""
    without_messages(done)
    asked = {rule: job for rule, *job in jobs(done.snakemake("-n", "--forceall").stdout)}
    assert len(asked) >= 10
    for rule, (mem_mb, _, command) in asked.items():
        if rule == "train":
            shutil.rmtree(done.folder / re.search(r"--output (\S+)", command)[1])
        measured = done.run("python", "-c", MEASURE, command)
        taken = float(measured.stdout.splitlines()[-1])
        assert taken < mem_mb < 5 * taken + 300, (rule, taken, mem_mb)
