"""Activations in files of the user's own: every format gives the same points, and a study of them is like any other."""

import os
import re
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import yaml
from actdim import intrinsic_dimension
from actdim.activations import array_files
from actdim.errors import UserError
from actdim.storage.activations_file import open_layer
from actdim.study.config import Config
from actdim.study.study import load_study
from actdim.workflow import checked_config
from actdim.workflow.costs import study_costs
from programs import run_program
from test_docs import block

CONFIG = Config(studies=["tiny"], estimators={"twonn": {}})
LAYERS = {"conv": (3, 4, 4), "fc": (10,)}
ACTIVATIONS = {"files": "acts/{model}/{layer}.npy", "layers": ["conv", "fc"]}


def values_of(layer, dtype=np.float32, n=60):
    """Return the activations of a layer."""
    random = np.random.default_rng(len(layer))
    return (10 * random.normal(size=(n, *LAYERS[layer]))).astype(dtype)


def write_study(folder, **activations):
    """Write a study of own activations."""
    (folder / "studies").mkdir(exist_ok=True)
    (folder / "studies/tiny.yaml").write_text(yaml.safe_dump({"activations": ACTIVATIONS | activations}))


@pytest.fixture
def acts(tmp_path, monkeypatch):
    """A working directory with the activations of two models, and their study."""
    monkeypatch.chdir(tmp_path)
    for model in ("a", "b"):
        (tmp_path / "acts" / model).mkdir(parents=True)
        for layer in LAYERS:
            np.save(tmp_path / "acts" / model / f"{layer}.npy", values_of(layer))
    write_study(tmp_path)
    return tmp_path


def imported(folder, **options):
    """Return {layer: values} of the file that the program makes of model a, as other programs read it."""
    done = run_program(
        "import_activations", study="studies/tiny.yaml", set="model=a", output=folder / "x.h5", **options
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for layer in LAYERS:
        with open_layer(folder / "x.h5", layer) as (points, _, source):
            found[layer] = points[:]
            assert tuple(source["shape"]) == LAYERS[layer]
            assert source["feeds_classifier"] == (layer == "fc")
    return found


def save_npz(path, arrays):
    np.savez(path, **arrays)


def save_compressed(path, arrays):
    np.savez_compressed(path, **arrays)


def save_safetensors(path, arrays):
    safetensors.torch.save_file({key: torch.from_numpy(values) for key, values in arrays.items()}, path)


def save_torch(path, arrays):
    torch.save({"layers": {key: torch.from_numpy(values) for key, values in arrays.items()}}, path)


def save_legacy(path, arrays):
    tensors = {key: torch.from_numpy(values) for key, values in arrays.items()}
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def save_hdf5(path, arrays):
    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            file[f"layers/{key}"] = values


def save_chunked(path, arrays):
    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            file.create_dataset(key, data=values, chunks=True, compression="gzip")


@pytest.mark.parametrize(
    ("ending", "save", "copied"),
    [
        ("npz", save_npz, False),
        ("npz", save_compressed, True),
        ("safetensors", save_safetensors, False),
        ("pt", save_torch, True),
        ("pth", save_legacy, True),
        ("h5", save_hdf5, False),
        ("hdf5", save_chunked, True),
    ],
)
def test_a_file_with_all_layers_gives_the_same_points(ending, save, copied, acts, monkeypatch):
    monkeypatch.setattr(array_files, "PIECE", 1000)  # a few rows at a time
    shutil.rmtree(acts / "acts")
    (acts / "acts").mkdir()
    save(acts / f"acts/a.{ending}", {layer: values_of(layer) for layer in LAYERS})
    write_study(acts, files=f"acts/{{model}}.{ending}")
    for layer, values in imported(acts).items():
        np.testing.assert_array_equal(values, values_of(layer).reshape(60, -1))
        assert values.dtype == np.float32
    with h5py.File(acts / "x.h5") as file:
        assert (file["layers/conv"].external is None) == copied


@pytest.mark.parametrize(
    ("dtype", "order", "stored", "copied"),
    [
        ("<f2", "C", "<f2", False),
        ("<f8", "C", "<f8", False),
        ("<f4", "F", "<f4", True),
        (">f4", "C", "<f4", True),
        ("i8", "C", "<f8", True),
        ("u1", "F", "<f8", True),
        ("?", "C", "<f8", True),
    ],
)
def test_every_type_and_order_gives_its_values(dtype, order, stored, copied, acts, monkeypatch):
    monkeypatch.setattr(array_files, "PIECE", 1000)
    for layer in LAYERS:
        np.save(acts / f"acts/a/{layer}.npy", np.array(values_of(layer), dtype=dtype, order=order))
    for layer, values in imported(acts).items():
        np.testing.assert_array_equal(values, values_of(layer).astype(dtype).reshape(60, -1))
        assert values.dtype == np.dtype(stored)
    with h5py.File(acts / "x.h5") as file:
        assert (file["layers/conv"].external is None) == copied


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_bfloat16_becomes_float32(ending, acts):
    write_study(acts, files=f"acts/{{model}}/{{layer}}.{ending}")
    for layer in LAYERS:
        tensor = torch.from_numpy(values_of(layer)).bfloat16()
        if ending == "pt":
            torch.save(tensor, acts / f"acts/a/{layer}.pt")
        else:
            safetensors.torch.save_file({"features": tensor}, acts / f"acts/a/{layer}.safetensors")
    for layer, values in imported(acts).items():
        np.testing.assert_array_equal(values, torch.from_numpy(values_of(layer)).bfloat16().float().reshape(60, -1))


def test_labels_that_are_texts_are_numbered_in_order(acts):
    np.save(acts / "labels.npy", np.array(["dog", "cat", "owl"] * 20))
    write_study(acts, labels="labels.npy")
    imported(acts)
    with open_layer(acts / "x.h5", "fc") as (_, labels, _):
        assert labels.tolist() == [1, 0, 2] * 20
    with h5py.File(acts / "x.h5") as file:
        assert file["class_names"][:].tolist() == [b"cat", b"dog", b"owl"]


def test_a_source_that_changes_after_its_import_is_found(acts):
    imported(acts)
    values = np.load(acts / "acts/a/fc.npy", mmap_mode="r+")
    values[7, 3] += 1
    values.flush()
    with (
        open_layer(acts / "x.h5", "fc") as (points, _, _),
        pytest.raises(UserError, match=r"acts/a/fc\.npy: has changed since .*x\.h5"),
    ):
        points[:]
    (acts / "acts/a/fc.npy").unlink()
    with (
        open_layer(acts / "x.h5", "fc") as (points, _, _),
        pytest.raises(UserError, match=r"acts/a/fc\.npy: no such file"),
    ):
        points[:]


def save_csv(text):
    return lambda folder: (folder / "models.csv").write_text(text)


@pytest.mark.parametrize(
    ("activations", "change", "message"),
    [
        ({"files": "acts/{model}/{layer}.pt"}, None, "activations.files: no file matches 'acts/{model}/{layer}.pt'"),
        ({"layers": ["fc2"]}, None, "no file that matches .* is of these layers; .* layer: conv, fc"),
        ({"files": "acts/{model}/{layer}.txt"}, None, "should end in .npy, .npz"),
        ({"files": "acts/{depth}/{layer}.npy"}, None, "{depth} is a column of the tables already"),
        ({"files": "acts/{llid}/{layer}.npy"}, None, "{llid} is a column of the tables already"),
        ({"files": "acts/{model,[}/{layer}.npy"}, None, "its regular expression is wrong: unterminated"),
        ({"files": "acts/{at}/{layer}.npy"}, None, "{at} is 'a'; should be 0, 1, 2"),
        ({}, lambda folder: (folder / "acts/b/fc.npy").unlink(), "model~b/seed~0 .*: no file of layer fc"),
        (
            {},
            lambda folder: np.save(folder / "acts/b/fc.npy", values_of("fc", n=59)),
            "layers of different numbers of samples: conv has 60, fc has 59",
        ),
        ({}, lambda folder: np.save(folder / "acts/b/fc.npy", np.zeros(60)), r"has shape \(60,\); should be \(samples"),
        (
            {},
            lambda folder: np.save(folder / "acts/b/fc.npy", np.zeros((60, 3), "c8")),
            "of type complex64; should hold",
        ),
        (
            {},
            lambda folder: np.save(folder / "acts/b/fc.npy", np.array([["x", 1]], object), allow_pickle=True),
            "acts/b/fc.npy: cannot be read as .npy",
        ),
        ({}, lambda folder: os.truncate(folder / "acts/b/fc.npy", 1000), "acts/b/fc.npy: cannot be read as .npy"),
        ({"labels": "no.npy"}, None, "activations.labels: no.npy: no such file"),
        (
            {"labels": "labels.npy"},
            lambda folder: np.save(folder / "labels.npy", np.zeros(59)),
            "60 samples, and 59 labels",
        ),
        (
            {"labels": "labels.npy"},
            lambda folder: np.save(folder / "labels.npy", np.full(60, 0.5)),
            "holds 0.5 in row 0; labels should be",
        ),
        ({"by_class": True}, None, "by_class needs labels"),
        ({"metrics": "models.csv"}, save_csv("model,train_loss\na,1\n"), "models.csv: has no row of model b"),
        ({"metrics": "models.csv"}, save_csv("model\na\nb\nc\n"), "models.csv: model c: there are no such files"),
        ({"metrics": "models.csv"}, save_csv("model\na\nb\na\n"), "line 4: model a has a row already"),
        ({"metrics": "models.csv"}, save_csv("train_loss\n1\n"), "has no column model"),
        ({"metrics": "models.csv"}, save_csv("model,acc\na,1\nb,1\n"), "unknown column 'acc'"),
        ({"metrics": "models.csv"}, save_csv("model,train_loss\na,x\nb,1\n"), "line 2: train_loss is 'x'; should be"),
        ({"metrics": "models.csv"}, None, "models.csv: No such file"),
    ],
)
def test_a_mistake_is_one_line_before_any_job(activations, change, message, acts):
    if change:
        change(acts)
    write_study(acts, **activations)
    with pytest.raises(UserError, match=message) as mistake:
        load_study("tiny", CONFIG)
    assert len(str(mistake.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"directions": {"at": [0]}}, "directions: needs checkpoints"),
        ({"model": {"name": "mlp"}}, "model: activations.files says where the activations are; remove model"),
        ({"figures": ["grokking"]}, "figures"),
    ],
)
def test_what_needs_a_model_is_refused_in_one_line(section, message, acts):
    (acts / "studies/tiny.yaml").write_text(yaml.safe_dump({"activations": ACTIVATIONS, **section}))
    with pytest.raises(UserError, match=message) as mistake:
        load_study("tiny", CONFIG)
    assert len(str(mistake.value).splitlines()) == 1


def test_checkpoints_and_splits_follow_from_the_files(acts):
    for at in (5, 10):
        for split in ("validation", "train"):
            for layer in LAYERS:
                path = acts / f"acts/a-{at}-{split}-{layer}.npy"
                np.save(path, values_of(layer, n=60 if split == "train" else 40))
    write_study(acts, files="acts/{model}-{at}-{split}-{layer}.npy")
    study = load_study("tiny", CONFIG)
    (run,) = study.runs.values()
    assert run.name == "model~a/seed~0"
    assert (study.activations.at, study.activations.split) == ([5, 10], ["validation", "train"])
    assert run.settings.shapes == ({"conv": 48, "fc": 10}, {"validation": 40, "train": 60}, 0, "fc")
    assert set(run.settings.files) == {"00005", "00005-train", "00010", "00010-train"}
    (acts / "acts/a-10-train-fc.npy").unlink()
    with pytest.raises(UserError, match="at 10, train: no file of layer fc"):
        load_study("tiny", CONFIG)


def test_the_checked_study_and_its_costs(acts):
    (acts / ".snakemake").mkdir()
    study = load_study("tiny", CONFIG)
    checked_config.keep({}, CONFIG, {"tiny": study})
    assert checked_config.kept({})[1]["tiny"] == study
    costs = study_costs(study)
    sizes = [cost.size for path, cost in costs.items() if "/activations/" in path]
    assert len(sizes) == 2
    assert max(sizes) < 60 * 48 * 4, "the values are not copied"


def test_one_array_by_hand(tmp_path):
    points = np.random.default_rng(0).normal(size=(500, 4)) @ np.random.default_rng(1).normal(size=(4, 30))
    np.save(tmp_path / "features.npy", points.astype(np.float32).reshape(500, 5, 6))
    np.savez(tmp_path / "two.npz", first=points, second=points)
    done = run_program("find_neighbors", activations=tmp_path / "two.npz", output=tmp_path / "n.h5")
    assert "has 2 arrays, first, second; name one of them" in done.stderr
    done = run_program("find_neighbors", activations=tmp_path / "features.npy", output=tmp_path / "n.h5")
    assert done.returncode == 0, done.stderr
    done = run_program("estimate_id", neighbors=tmp_path / "n.h5", estimator="twonn", output=tmp_path / "id.json")
    assert done.returncode == 0, done.stderr
    printed = float(re.search(r"'id': ([\d.]+)", done.stdout)[1])
    assert printed == pytest.approx(intrinsic_dimension(points.astype(np.float32)).id)


def test_the_study_of_the_page(project):
    """Its files, its study, all tables and figures; then a changed file, and one with another time."""
    done = project.run("python", "-c", block("python", "models.csv"))
    assert done.returncode == 0, done.stderr
    project.write(yaml.safe_load(block("yaml", "models.csv")), "mine", tensorboard=True)
    project.snakemake()
    summary = pd.read_csv(project.folder / "results/tables/summary.csv")
    assert len(summary) == 6
    for row in summary.itertuples():
        points = np.load(project.folder / f"acts/{row.dropout}/{row.seed}/fc.npy")
        assert row.llid == pytest.approx(intrinsic_dimension(points).id)
        assert row.validation_accuracy == pytest.approx(0.8 + row.dropout / 2 + row.seed / 100)
    assert (summary["pid_layer"] != "fc").all()
    measures = pd.read_csv(project.folder / "results/tables/measures.csv")
    assert measures["participation_ratio"].notna().all()
    assert measures["label_overlap"].between(0.05, 0.2).all()
    assert measures["llid"].corr(measures["validation_accuracy"]) < -0.8
    predictors = pd.read_csv(project.folder / "results/tables/predictors.csv")
    assert "llid" in predictors.query("target == 'validation_accuracy'")["measure"].tolist()
    assert (project.folder / "results/figures/mine/llid.png").exists()
    assert sum(file.stat().st_size for file in project.folder.glob("results/mine/**/activations/*.h5")) < 200_000
    assert project.planned() == {}
    os.utime(project.folder / "acts/0.1/0/fc.npy")
    assert project.planned() == {}
    points = np.load(project.folder / "acts/0.1/0/fc.npy")
    np.save(project.folder / "acts/0.1/0/fc.npy", points + 1)
    planned = project.planned()
    assert (planned["import_activations"], planned["find_neighbors"], planned["estimate_id"]) == (1, 3, 3)
