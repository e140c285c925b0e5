"""Files that a study names are watched by content: a change runs what it decides again, a touch runs nothing."""

import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from actdim import registry
from actdim.datasets import imagefolder
from actdim.errors import UserError
from actdim.storage import watched_files
from actdim.storage.watched_files import content_digests
from actdim.study.study import load_config_and_studies
from actdim.training.settings import run_settings_that_count
from actdim.workflow import checked_config
from conftest import STUDY as TINY
from conftest import dataset_settings
from image_files import write_mnist
from PIL import Image
from test_own import settings_of, trained

MINE = """
from pathlib import Path

import numpy as np
import torch
from actdim.datasets import DataSet, Split
from torch import nn


def points(*, noise: float = 0.1) -> DataSet:
    def load():
        values = np.load("points/values.npy")
        labels = (values[:, 0] > 0).astype(np.int64)
        parts = {"train": np.arange(50), "validation": np.arange(50, 100)}
        return {name: Split(values[rows], labels[rows], rows) for name, rows in parts.items()}

    return DataSet(shape=(4,), classes=2, sizes={"train": 50, "validation": 50}, load=load)


def net(data) -> nn.Module:
    hidden = nn.Linear(4, 8)
    with torch.no_grad():
        hidden.bias.fill_(float(Path("bias.txt").read_text()))
    model = nn.Sequential()
    model.add_module("hidden", hidden)
    model.add_module("classifier", nn.Linear(8, 2))
    model.layers = ("hidden",)
    return model
"""
STUDY = {
    "dataset": {"name": "mine:points", "files": ["points"]},
    "model": {"name": "mine:net", "files": ["bias.txt"]},
    "training": {"lr": 0.1, "batch_size": 50, "epochs": 1},
    "checkpoints": [1],
    "activations": {"at": [1]},
    "directions": {"at": [1], "orders": 1},
    "figures": ["id_over_depth"],
}


def write_points(folder, seed):
    """Write the points that the study's data set reads."""
    (folder / "points").mkdir(exist_ok=True)
    np.save(folder / "points/values.npy", np.random.default_rng(seed).normal(size=(100, 4)).astype(np.float32))


@pytest.fixture
def own(project):
    """A project whose study reads files that only its own code opens, and names them."""
    (project.folder / "mine.py").write_text(MINE)
    (project.folder / "bias.txt").write_text("0.5")
    write_points(project.folder, seed=0)
    project.write(STUDY)
    return project


def said(project):
    """Return what a dry run says on why results are made again."""
    lines = project.snakemake("-n", "--quiet").stderr.splitlines()
    return [line for line in lines if line.startswith("tiny: train ")]


def test_a_changed_file_runs_again_what_it_decides(own):
    own.snakemake()
    assert own.planned() == {}
    for file in ("bias.txt", "points/values.npy"):
        os.utime(own.folder / file, (1, 1))
    shutil.copy(own.folder / "bias.txt", own.folder / "copy")
    (own.folder / "copy").replace(own.folder / "bias.txt")  # another file with the same content
    assert own.planned() == {}
    before = pd.read_csv(own.folder / "results/tables/id.csv")["id"]
    write_points(own.folder, seed=1)
    assert said(own) == ["tiny: train runs again for 1 result: points has changed"]
    checkpoint = own.folder / "results/tiny/seed~0/checkpoints/to~1/00001.pt"
    dump = own.run("scripts/dump_activations.py", "--checkpoint", checkpoint, "--output", "a.h5")
    assert dump.stderr == (
        f"dump_activations.py: points: changed since {checkpoint} was trained; restore what it held, or train again\n"
    )
    (own.folder / "bias.txt").write_text("-0.5")
    assert said(own) == ["tiny: train runs again for 1 result: bias.txt has changed; points has changed"]
    planned = own.planned()
    assert planned["train"] == planned["dump_activations"] == planned["measure_directions"] == 1
    shutil.rmtree(own.folder / ".snakemake")  # without its records and the cache of digests
    assert own.planned() == planned
    own.snakemake()
    assert own.planned() == {}
    after = pd.read_csv(own.folder / "results/tables/id.csv")["id"]
    assert (before != after).all()
    (own.folder / "bias.txt").unlink()
    gone = own.run("snakemake", "-n", "--cores", "1")
    assert gone.returncode == 1
    assert [line for line in gone.stderr.splitlines() if "bias.txt" in line] == [
        "studies/tiny.yaml: model.files: bias.txt: no such file or directory"
    ]


def test_jobs_refuse_files_other_than_those_planned_with(own):
    """As on a cluster, where a job starts long after it was planned."""
    commands = own.snakemake("-n", "--printshellcmds").stdout
    options = {
        program: re.search(rf"scripts/{program}.py .*(--expect \w+)", commands)[1].split()
        for program in ("train", "dump_activations", "measure_directions")
    }
    own.snakemake("results/tiny/seed~0/checkpoints/to~1")
    write_points(own.folder, seed=1)
    train = own.run(
        *("scripts/train.py", "--study", "studies/tiny.yaml", "--set", "seed=0", *options["train"], "--output", "run")
    )
    assert train.stderr == (
        "train.py: studies/tiny.yaml or points or bias.txt: changed since this job was planned; run snakemake again\n"
    )
    checkpoint = ("--checkpoint", "results/tiny/seed~0/checkpoints/to~1/00001.pt")
    for program, layer in (("dump_activations", ()), ("measure_directions", ("--layer", "hidden"))):
        done = own.run(f"scripts/{program}.py", *checkpoint, *layer, *options[program], "--output", "out")
        assert done.stderr == (
            f"{program}.py: points or bias.txt: changed since this job was planned; run snakemake again\n"
        )
    write_points(own.folder, seed=0)
    dump = own.run("scripts/dump_activations.py", *checkpoint, *options["dump_activations"], "--output", "a.h5")
    assert dump.returncode == 0, dump.stderr


def test_jobs_on_a_cluster_know_the_files_that_were_planned_with(tmp_path, monkeypatch):
    """What is kept for them has the digests from when Snakemake started, however long they wait."""
    monkeypatch.chdir(tmp_path)
    for folder in (".snakemake", "studies"):
        (tmp_path / folder).mkdir()
    write_points(tmp_path, seed=0)
    study = {**TINY, "dataset": {**TINY["dataset"], "files": ["points"]}}
    (tmp_path / "studies/tiny.yaml").write_text(yaml.safe_dump(study))
    config = {"studies": ["tiny"], "estimators": {"twonn": {}}}
    checked = load_config_and_studies(config)
    checked_config.keep(config, *checked)
    write_points(tmp_path, seed=1)
    watched_files.content_digest.cache_clear()
    before, planned, now = (
        studies["tiny"].runs["weight_decay~0/seed~0"].counted["files"]
        for _, studies in (checked, checked_config.kept(config), load_config_and_studies(config))
    )
    assert list(now) == ["points"]
    assert planned == before != now


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Return a function that gives the digests of what settings name, as another process would find them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()

    def digest(**sections):
        watched_files.content_digest.cache_clear()
        imagefolder.list_images.cache_clear()
        return content_digests(sections)

    return digest


def write_pictures(folder):
    """Write one image of each class for both splits."""
    for split in ("train", "validation"):
        for number, name in enumerate(("cat", "dog")):
            (folder / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / split / name / "0.png")


def test_images_are_watched_and_nothing_else_in_their_folder(digest, tmp_path):
    write_pictures(tmp_path / "pets")
    settings = dataset_settings(name="imagefolder", folder="pets", size=8)
    before = digest(dataset=settings)
    assert list(before) == ["pets"]
    (tmp_path / "pets/train/cat/notes.txt").write_text("no image")
    (tmp_path / "pets/train/.ipynb_checkpoints").mkdir()
    assert digest(dataset=settings) == before
    (tmp_path / "pets/train/cat/0.png").rename(tmp_path / "pets/train/cat/1.png")
    renamed = digest(dataset=settings)
    shutil.copy(tmp_path / "pets/train/cat/1.png", tmp_path / "pets/train/dog/1.png")
    added = digest(dataset=settings)
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "pets/train/dog/1.png")
    assert len({value["pets"] for value in (before, renamed, added, digest(dataset=settings))}) == 4


def test_weights_are_watched_but_not_names_of_torchvision(digest, tmp_path):
    file, _ = trained(tmp_path)
    dataset = {"name": "cifar10"}
    before = run_settings_that_count(settings_of(dataset, {"name": "torchvision:resnet18", "weights": file}))
    assert list(before["files"]) == [file]
    assert "files" not in run_settings_that_count(
        settings_of(dataset, {"name": "torchvision:resnet18", "weights": "DEFAULT"})
    )
    assert "files" not in run_settings_that_count(settings_of(dataset, {"name": "torchvision:resnet18"}))
    os.remove(file)
    watched_files.content_digest.cache_clear()
    with pytest.raises(
        UserError, match=rf"^model.weights: no file '{file}' and no weights of that name: IMAGENET1K_V1"
    ):
        run_settings_that_count(settings_of(dataset, {"name": "torchvision:resnet18", "weights": file}))


@pytest.mark.parametrize("name", ["mnist", "fashionmnist"])
def test_idx_files_of_ones_own_are_watched(name, digest, tmp_path):
    write_mnist(tmp_path / "mine", registry.DOWNLOADED[name])
    before = digest(dataset=dataset_settings(name=name, folder="mine"))
    write_mnist(tmp_path / "other", registry.DOWNLOADED[name], sizes={"train": 61, "validation": 25})
    shutil.copytree(tmp_path / "other", tmp_path / "mine", dirs_exist_ok=True)
    assert digest(dataset=dataset_settings(name=name, folder="mine"))["mine"] != before["mine"]
    write_mnist(tmp_path / f"data/{name}", registry.DOWNLOADED[name])
    assert digest(dataset=dataset_settings(name=name)) == {}, "it is downloaded to when the study was planned already"


def test_files_are_read_again_only_where_a_time_or_size_changed(digest, tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / "points").mkdir(exist_ok=True)
        (tmp_path / "points" / name).write_text(name)
    (tmp_path / "points/.hidden").write_text("not read")
    settings = dataset_settings(name="digits", files=["points"])
    read, file_digest = [], watched_files.file_digest
    monkeypatch.setattr(watched_files, "file_digest", lambda path: read.append(path) or file_digest(path))
    before = digest(dataset=settings)
    assert sorted(read) == ["points/a", "points/b", "points/c"]
    read.clear()
    assert digest(dataset=settings) == before
    assert read == []
    os.utime(tmp_path / "points/b")
    assert digest(dataset=settings) == before
    assert read == ["points/b"]
    times = os.stat(tmp_path / "points/c")
    (tmp_path / "points/c").write_text("C")  # as long, and with the time that it had
    os.utime(tmp_path / "points/c", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(dataset=settings) != before
    shutil.rmtree(tmp_path / ".snakemake")
    changed = digest(dataset=settings)
    assert changed != before
    assert not (tmp_path / ".snakemake").exists()
    (tmp_path / "points/c").write_text("c")
    assert digest(dataset=settings) == before


@pytest.mark.parametrize(
    ("path", "message"),
    [("gone", "dataset.files: gone: no such file or directory"), ("/dev/null", "dataset.files: /dev/null: not a file")],
)
def test_files_that_cannot_be_watched(path, message, digest):
    with pytest.raises(UserError, match=f"^{message}$"):
        digest(dataset=dataset_settings(name="digits", files=[path]))
