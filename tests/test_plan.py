"""What `snakemake plan` says, against Snakemake's own count of jobs and the files of a finished run."""

import copy
import re

import pytest
import yaml
from actdim.study.config import load_config
from actdim.study.study import load_study
from actdim.workflow.costs import kind_of
from conftest import STUDY
from test_resources import jobs, without_messages

ASKED = r"^(\w+) +\d+ +\d+ +[\d.]+ +([\d.]+) +(\d+ \w+)$"


def planned(project, *arguments):
    """Return (the text that plan prints, {rule: (jobs to run, of)}, {study: its row of GB and hours})."""
    done = project.snakemake("plan", *arguments)
    text = done.stdout
    rules = {
        name: (int(todo), int(of)) for name, todo, of in re.findall(r"^(\w+) +(\d+) +(\d+) +[\d.]+\b.*$", text, re.M)
    }
    studies = re.findall(r"^(\w+) +(\d+) +([\d.,]+) +([\d.,]+) +([\d.,]+) +([\d.,]+)$", text, re.M)
    return text, rules, {name: [float(value.replace(",", "")) for value in row] for name, *row in studies}


def jobs_to_run(rules):
    """Return {rule: jobs} of the rules that have jobs to run."""
    return {rule: todo for rule, (todo, _) in rules.items() if todo and rule != "total"}


def files(project):
    """Return {path: (size, time of last change)} of all results but the log of the plan itself."""
    found = [path for path in project.folder.glob("results/**/*") if path.is_file() and path.name != "plan.log"]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_before_anything_ran(project):
    text, rules, studies = planned(project)
    assert jobs_to_run(rules) == project.planned()
    assert rules["total"][0] == rules["total"][1] == sum(project.planned().values())
    assert studies["tiny"][0] == 3
    assert files(project) == {}
    assert int(re.search(r"^Time: about (\d+) (seconds|minutes) with 2 cores", text, re.M)[1]) > 5
    assert "TOO SMALL" not in text


def test_sizes_are_those_of_the_finished_files(done):
    before = files(done)
    text, rules, studies = planned(done)
    assert jobs_to_run(rules) == {}
    assert "Disk: 0 GB to be written" in text
    assert "Time: about 0 seconds" in text
    patterns = ("checkpoints/to~[0-9]/*.pt", "activations/*.h5", "neighbors/*/*.h5")  # without working folders' links
    for pattern, said in zip(patterns, studies["tiny"][1:4], strict=True):
        found = sum(path.stat().st_size for path in done.folder.glob(f"results/tiny/**/{pattern}"))
        assert said == pytest.approx(found / 1e9, rel=0.05), pattern
    assert files(done) == before


def test_after_a_change(done):
    """Only what follows from the change is to be run; an existing stage does not count for the disk."""
    study = copy.deepcopy(STUDY)
    study["training"]["epochs"] = [4, 5]
    done.write(study, estimators={"twonn": {"fraction": 0.9}})
    text, rules, studies = planned(done)
    assert jobs_to_run(rules) == done.planned()
    assert rules["train"] == (3, 6)
    to_come = float(re.search(r"Disk: ([\d.]+) GB", text)[1])
    assert to_come == pytest.approx(studies["tiny"][1] / 3, rel=0.05), "the third of three checkpoints"


def test_the_most_that_jobs_ask_for(project):
    study = copy.deepcopy(STUDY) | {"model": {"name": "mlp", "width": 2000}}
    study["training"] |= {"batch_size": 2}
    study["grid"], study["training"]["epochs"] = [{}], 6000
    project.write(study | {"figures": ["id_over_depth"]})
    text, _, _ = planned(project)
    shown = {rule: (float(memory), time) for rule, memory, time in re.findall(ASKED, text, re.M)}
    asked = jobs(without_messages(project).snakemake("-n").stdout)
    for rule in {job[0] for job in asked}:
        memory, minutes = (max(job[i] for job in asked if job[0] == rule) for i in (1, 2))
        assert shown[rule][0] == memory / 1000
        assert shown[rule][1] == (f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours")
    assert shown["train"][0] > shown["find_neighbors"][0]
    assert shown["train"][1] != shown["find_neighbors"][1]
    hours = {rule: float(value) for rule, value in re.findall(r"^(\w+) +\d+ +\d+ +([\d.]+)", text, re.M)}
    assert hours["train"] > 0.9 * hours["total"], "6,000 epochs of a wide network; nothing else computes for long"


def test_a_disk_that_is_too_small(project):
    """2,000 checkpoints of 0.26 GB each for 100 seeds: 51,000 GB."""
    study = copy.deepcopy(STUDY)
    study["model"] = {"name": "mlp", "width": 8000}
    study["training"]["epochs"] = 2000
    study |= {"grid": [{}], "seeds": list(range(100)), "checkpoints": list(range(1, 2001)), "activations": {"at": [1]}}
    project.write(study | {"figures": ["id_over_depth"]})
    text, _, studies = planned(project)
    assert studies["tiny"][1] == pytest.approx(200_000 * 4 * (64 * 8000 + 8000**2 + 8000 * 10) / 1e9, rel=0.01)
    said, free = re.search(r"Disk: ([\d,.]+) GB to be written, ([\d,.]+) GB free", text).groups()
    missing = float(said.replace(",", "")) - float(free.replace(",", ""))
    short = re.search(r"^THE DISK IS TOO SMALL by ([\d,]+) GB\.$", text, re.M)[1]
    assert float(short.replace(",", "")) == pytest.approx(missing, abs=2)


def test_runs_that_cost_the_same_are_timed_once(tmp_path):
    """Weight decay and label noise cost nothing; momentum adds a buffer; too few samples for a step differ too."""
    study = copy.deepcopy(STUDY) | {"figures": ["id_over_depth"]}
    study["grid"] = [
        {"weight_decay": [0, 0.1], "label_noise": [0, 0.5]},
        {"momentum": [0.9]},
        {"batch_size": [20]},
        {"train_size": [20, 200]},
    ]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(study))
    config = load_config({"studies": ["tiny"], "estimators": {"twonn": {}}})
    runs = load_study("tiny", config, tmp_path).runs.values()
    assert (len({kind_of(run.settings) for run in runs}), len(runs)) == (5, 8)


def test_a_model_that_is_not_trained(project):
    """There is no training step to time; the batch of one sample would not even allow one."""
    study = copy.deepcopy(STUDY) | {"model": {"name": "resnet18", "width": 2}, "training": {"epochs": 0}, "grid": [{}]}
    project.write(study | {"checkpoints": [0], "activations": {"at": [0]}, "figures": ["id_over_depth"]})
    _, rules, studies = planned(project)
    assert rules["train"] == (1, 1)
    assert studies["tiny"][1] > 0


def test_a_study_that_is_wrong_is_one_line(project):
    project.write(STUDY | {"modle": {}})
    done = project.run("snakemake", "--cores", "2", "plan")
    assert done.returncode != 0
    assert "modle: unknown key" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
