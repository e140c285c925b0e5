"""The programs, as users run them by hand."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from actdim import cli, registry
from conftest import ROOT
from programs import run_program


def find(folder, points, method="exact"):
    """Write points as a file of activations, and find their neighbors."""
    with h5py.File(folder / "a.h5", "w") as file:
        file["layers/hand.made"] = points
    options = {"activations": folder / "a.h5", "layer": "hand.made", "method": method, "k": 32}
    found = run_program("find_neighbors", **options, output=folder / "n.h5")
    assert found.returncode == 0, found.stderr


def estimate(folder, estimator):
    """Estimate the ID from the neighbors found before; return the JSON."""
    done = run_program("estimate_id", neighbors=folder / "n.h5", estimator=estimator, output=folder / "id.json")
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "id.json").read_text())


@pytest.mark.parametrize(
    "exhaust",
    [
        lambda: np.empty(1 << 58),
        lambda: torch.empty(1 << 58),
        lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
    ],
    ids=["numpy", "torch", "CUDA"],
)
def test_too_little_memory_is_one_line(exhaust, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    with pytest.raises(SystemExit) as ended:
        cli.run(exhaust)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "train.py: not enough memory; run fewer jobs at once, or one with smaller batches or fewer samples ("
    )


def test_batch_norm_of_one_sample_is_one_line(tmp_path):
    (tmp_path / "study.yaml").write_text(
        "{dataset: {name: digits, train_size: 9}, model: {name: mlp, width: 4, batch_norm: true},"
        " training: {lr: 0.1, batch_size: 1, epochs: 1}, checkpoints: [1]}"
    )
    done = run_program("train", study=tmp_path / "study.yaml", output=tmp_path / "to~1")
    assert done.returncode == 1
    assert done.stderr == "train.py: training.batch_size: batch norm needs batches of at least two samples\n"


@pytest.mark.parametrize("method", ["exact", "pynndescent", "sketch"])
def test_hand_made_file_of_known_dimension(tmp_path, method):
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(2500, 5)) @ np.linalg.qr(rng.normal(size=(40, 5)))[0].T
    find(tmp_path, points.astype(np.float32), method)
    for estimator in registry.ESTIMATORS:
        result = estimate(tmp_path, estimator)
        assert result["id"] == pytest.approx(5, rel=0.12)
        assert result["low"] < result["id"] < result["high"]
        assert result["n_points"] == 2500
        assert result["n_dropped"] == 0
        assert result["recall"] >= 0.99
        assert result["made_by"]["program"] == "estimate_id.py"


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.full((50, 3), 2.0), "all points are the same"),
        (np.ones((1, 3)), "only 1 points"),
        (np.random.default_rng(0).normal(size=(5, 3)), "5 usable points"),
        (np.where(np.eye(60) > 0, np.nan, 1.0), "60 of 60 points are not finite"),
    ],
)
@pytest.mark.parametrize("estimator", ["twonn", "twonn_fit"])
def test_no_value_but_a_reason(tmp_path, points, reason, estimator):
    find(tmp_path, points)
    result = estimate(tmp_path, estimator)
    assert result["id"] is None
    assert result["low"] is None
    assert result["n_points"] == len(points)
    assert reason in result["reason"]


def test_each_class_by_itself(tmp_path):
    """Two classes on planes of different dimension: each has its own ID, and neighbors of its own class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, 5, 1200)
    points = rng.normal(size=(1200, 9)) * np.where(labels == 3, 1, 0)[:, None]
    points[:, :2] = rng.normal(size=(1200, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers/x"], file["labels"] = points, labels
    options = {"activations": tmp_path / "a.h5", "layer": "x"}
    found = run_program("find_neighbors", "--by-class", **options, output=tmp_path / "n.h5")
    assert found.returncode == 0, found.stderr
    run_program("estimate_id", neighbors=tmp_path / "n.h5", estimator="twonn", output=tmp_path / "id.json")
    run_program("estimate_pca", "--by-class", **options, output=tmp_path / "pca.json")
    for name in ("id", "pca"):
        classes = json.loads((tmp_path / f"{name}.json").read_text())["classes"]
        assert [one["class"] for one in classes] == [3, 4]
        assert [one["n_points"] for one in classes] == np.bincount(labels)[3:].tolist()
        assert classes[0]["id"] == pytest.approx(9, rel=0.2)
        assert classes[1]["id"] == pytest.approx(2, rel=0.1)
    del options["layer"]
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["labels"]
    for program in ("find_neighbors", "estimate_pca"):
        done = run_program(program, "--by-class", **options, layer="x", output=tmp_path / "x")
        needs = "--by-class needs an integer for each of the 1200 rows of /layers/x"
        assert done.stderr == f"{program}.py: {tmp_path}/a.h5: has no /labels; {needs}\n"


@pytest.mark.parametrize(
    ("labels", "mistake"),
    {
        "too few": (np.arange(40) % 2, "holds 40 labels"),
        "too many": (np.arange(60) % 2, "holds 60 labels"),
        "a table": (np.zeros((50, 2), int), "holds an array (50, 2) of labels"),
        "one": (np.array(3), "holds an array () of labels"),
        "text": (np.array([b"cat", b"dog"] * 25), "holds 50 labels of type text"),
        "text of any length": (
            np.array(["cat", "panther"] * 25, dtype=h5py.string_dtype()),
            "holds 50 labels of type text",
        ),
        "fractions": (np.arange(50) % 2 / 2, "holds 0.5 in row 1"),
        "nan": (np.where(np.arange(50) == 7, np.nan, 1), "holds nan in row 7"),
        "complex": (np.ones(50, complex), "holds 50 labels of type complex128"),
        "too large": (np.where(np.arange(50) == 7, 1e300, 1), "holds 1e+300 in row 7; should be below 2^53"),
    }.values(),
)
@pytest.mark.parametrize("program", ["find_neighbors", "estimate_pca"])
def test_labels_that_are_no_classes_of_the_rows(program, labels, mistake, tmp_path):
    """Each is one line; labels that nothing asks for do no harm."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers/x"], file["labels"] = np.random.default_rng(0).normal(size=(50, 3)), labels
    options = {"activations": tmp_path / "a.h5", "layer": "x", "output": tmp_path / "x"}
    done = run_program(program, "--by-class", **options)
    assert done.returncode == 1
    assert done.stderr == (
        f"{program}.py: {tmp_path}/a.h5: /labels {mistake}; "
        "--by-class needs an integer for each of the 50 rows of /layers/x\n"
    )
    assert not (tmp_path / "x").exists()
    assert run_program(program, **options).returncode == 0


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, bool])
def test_labels_that_are_whole_numbers_of_another_type(dtype, tmp_path):
    labels = np.arange(50) % 2
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers/x"], file["labels"] = np.random.default_rng(0).normal(size=(50, 3)), labels.astype(dtype)
    done = run_program(
        "estimate_pca", "--by-class", activations=tmp_path / "a.h5", layer="x", output=tmp_path / "pca.json"
    )
    assert done.returncode == 0, done.stderr
    classes = json.loads((tmp_path / "pca.json").read_text())["classes"]
    assert [(one["class"], one["n_points"]) for one in classes] == [(0, 25), (1, 25)]


def test_neighbor_lists_of_classes_that_have_no_number(tmp_path):
    with h5py.File(tmp_path / "n.h5", "w") as file:
        file["classes/cat/indices"], file["classes/cat/distances"] = np.zeros((9, 2), int), np.ones((9, 2))
    done = run_program("estimate_id", neighbors=tmp_path / "n.h5", estimator="twonn", output=tmp_path / "x")
    assert done.stderr == f"estimate_id.py: {tmp_path}/n.h5: /classes/cat: 'cat' should be the number of a class\n"


def test_neighbors_file(tmp_path):
    find(tmp_path, np.random.default_rng(0).normal(size=(100, 6)).astype(np.float16))
    with h5py.File(tmp_path / "n.h5") as file:
        assert file["indices"].dtype == np.int32
        assert file["distances"].dtype == np.float32
        assert file["indices"].shape == file["distances"].shape == (100, 32)
        assert file["decimated/4"].shape == (25, 2)
        assert file.attrs["method"] == file.attrs["search"] == b"exact"
        assert file.attrs["k"] == 32
        assert file.attrs["recall"] == 1.0
        assert file.attrs["seconds"] > 0


@pytest.mark.parametrize(
    ("program", "options", "message"),
    [
        ("train", {"study": "no.yaml", "output": "x"}, "no.yaml: no such file"),
        (
            "train",
            {"study": ROOT / "studies/digits.yaml", "set": "wieght_decay=1", "output": "x"},
            "did you mean weight_decay?",
        ),
        ("train", {"study": ROOT / "studies/digits.yaml", "set": "lr", "output": "x"}, "--set lr: should be KEY=VALUE"),
        ("dump_activations", {"checkpoint": "no.pt", "output": "x"}, "no.pt: no such checkpoint"),
        ("find_neighbors", {"activations": "no.h5", "layer": "x", "output": "x"}, "no.h5: no such file"),
        ("estimate_pca", {"activations": "no.h5", "layer": "x", "output": "x"}, "no.h5: no such file"),
        ("estimate_id", {"neighbors": "no.h5", "estimator": "twonn", "output": "x"}, "no.h5: no such file"),
    ],
)
def test_mistakes_are_one_line(program, options, message):
    done = run_program(program, **options)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert done.stderr.startswith(f"{program}.py: ")


def test_estimator_settings_are_checked(tmp_path):
    find(tmp_path, np.random.default_rng(0).normal(size=(100, 6)))
    for setting, message in (("fractoin=0.9", "did you mean fraction?"), ("fraction=1.5", "less than or equal to 1")):
        done = run_program(
            "estimate_id", neighbors=tmp_path / "n.h5", estimator="twonn", set=setting, output=tmp_path / "x"
        )
        assert done.returncode == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_damaged_checkpoint(tmp_path):
    (tmp_path / "00001.pt").write_bytes(b"PK not a checkpoint")
    done = run_program("dump_activations", checkpoint=tmp_path / "00001.pt", output=tmp_path / "x.h5")
    assert done.stderr.splitlines() == [
        f"dump_activations.py: {tmp_path}/00001.pt: corrupt; if snakemake made it, move it away and run snakemake again"
    ]


@pytest.mark.slow
def test_search_and_estimate_import_no_torch(tmp_path):
    """They start thousands of times; importing torch would take longer than their work."""
    find(tmp_path, np.random.default_rng(0).normal(size=(100, 6)))
    runs = {
        "find_neighbors": ["--activations", "a.h5", "--layer", "hand.made", "--method", "exact", "--output", "x.h5"],
        "estimate_id": ["--neighbors", "n.h5", "--estimator", "twonn", "--output", "x.json"],
    }
    for program, arguments in runs.items():
        code = f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); sys.argv[1:] = {arguments!r}\n"
        code += f"import {program}; {program}.main()\n"
        code += "print(*({'torch', 'torchvision', 'pynndescent', 'pandas'} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == ""
