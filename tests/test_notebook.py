"""The function for notebooks: what it takes, and that it says what the workflow's programs say."""

import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from actdim import intrinsic_dimension
from conftest import ROOT


@pytest.fixture(scope="module")
def points():
    """Points (1000, 30) float32 of a Gaussian in five dimensions."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(1000, 5)) @ rng.normal(size=(5, 30))).astype(np.float32)


@pytest.mark.slow
def test_the_id_of_an_array_is_that_of_the_programs(points, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers/x"] = points
    for command in (
        "find_neighbors.py --activations a.h5 --layer x --output n.h5",
        "estimate_id.py --neighbors n.h5 --estimator twonn --set fraction=0.9 --output id.json",
    ):
        subprocess.run([sys.executable, *f"{ROOT}/scripts/{command}".split()], cwd=tmp_path, check=True)
    expected = json.loads((tmp_path / "id.json").read_text())
    found = intrinsic_dimension(points, fraction=0.9)
    assert found._asdict() == {
        key: expected[key] for key in ("id", "low", "high", "n_points", "n_copies", "recall")
    } | {
        "decimated": tuple((subset["points"], subset["id"]) for subset in expected["decimated"]),
        "reason": None,
    }
    assert found.low < 5 < found.high
    assert found.recall == 1


def test_arrays_of_every_kind_give_the_same_id(points, tmp_path):
    expected = intrinsic_dimension(points)
    np.save(tmp_path / "points.npy", np.asfortranarray(points))
    with h5py.File(tmp_path / "points.h5", "w") as file:
        stored = file.create_dataset("x", data=points)
        same = [
            np.load(tmp_path / "points.npy", mmap_mode="r"),
            points.reshape(1000, 5, 3, 2),
            torch.tensor(points, requires_grad=True),
            points.tolist(),
            stored,
            np.concatenate([points, points[:100]]),
        ]
        for values in same:
            assert intrinsic_dimension(values).id == pytest.approx(expected.id, rel=1e-5)
    assert intrinsic_dimension(same[-1]).n_copies == 100
    coarse = torch.tensor(points).bfloat16()
    assert intrinsic_dimension(coarse) == intrinsic_dimension(coarse.float().numpy())
    integers = (points * 1e6).astype(np.int64)
    assert intrinsic_dimension(integers).id == pytest.approx(expected.id, rel=1e-3)


def test_where_there_is_no_id_there_is_a_reason():
    rng = np.random.default_rng(0)
    assert "the data are discrete" in intrinsic_dimension(rng.integers(0, 2, (1000, 64))).reason
    assert intrinsic_dimension(np.full((50, 3), np.nan)).id is None
    assert intrinsic_dimension(np.zeros((2, 3))).reason == "only 2 points"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ([np.array(["a"])], {}, "points of type <U1; should be numbers"),
        ([np.zeros(5)], {}, r"points of shape \(5,\); should be \(n, features\)"),
        ([np.zeros((5, 2)), "tonn"], {}, "unknown name 'tonn'; known: twonn"),
        ([np.zeros((5, 2))], {"fractoin": 0.9}, "fractoin: unknown key"),
        ([np.zeros((5, 2))], {"method": "fast"}, "neighbors.method"),
    ],
)
def test_mistakes_are_one_line(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        intrinsic_dimension(*arguments, **settings)


@pytest.mark.slow
def test_the_library_can_be_installed(tmp_path):
    """It is then found from any folder, with what it reads: the environment of the tests has what it needs."""
    shutil.copytree(ROOT / "scripts", tmp_path / "project/scripts")  # pip writes into the folder that it installs from
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "project")
    target = ["--target", tmp_path / "site", tmp_path / "project"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *target]
    subprocess.run(install, check=True)
    program = "import numpy; from actdim import intrinsic_dimension as f; print(f(numpy.random.rand(500, 3)).id)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path / "site", capture_output=True, text=True, check=True)
    assert 2.5 < float(done.stdout) < 3.3
