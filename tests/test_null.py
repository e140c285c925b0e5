"""The null of an ID: on Gaussian points it is their ID, on curved ones it is larger."""

import json

import numpy as np
import pytest
from actdim.measures.null import estimate_null, gaussian_points
from programs import run_program
from test_neighborhoods import write_activations


def sphere(n, dimension, rng):
    points = rng.normal(size=(n, dimension + 1))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def null_of(points, folder, estimator="twonn"):
    """Return (ID, null) of points, by the programs."""
    write_activations(folder / "a.h5", {"x": points}, None, None)
    layer = {"activations": folder / "a.h5", "layer": "x"}
    for program, files in (
        ("find_neighbors", {**layer, "output": folder / "n.h5"}),
        ("estimate_pca", {**layer, "output": folder / "pca.json"}),
        ("estimate_null", {"spectrum": folder / "pca.json", "estimator": estimator, "output": folder / "null.json"}),
        ("estimate_id", {"neighbors": folder / "n.h5", "estimator": estimator, "output": folder / "id.json"}),
    )[: 3 if estimator == "pca" else 4]:
        done = run_program(program, **files)
        assert done.returncode == 0, done.stderr
    read = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("pca", "null")}
    own = read["pca"] if estimator == "pca" else json.loads((folder / "id.json").read_text())
    return own["id"], read["null"]


@pytest.mark.parametrize("estimator", ["twonn", "mle", "pca"])
def test_gaussian_points_are_their_own_null(estimator, tmp_path):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 6)) * [5, 3, 2, 1, 0.5, 0.1] @ rng.normal(size=(6, 30))
    found, null = null_of(points, tmp_path, estimator)
    assert null["draws"] == 10
    assert found / null["id_null"] == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("dimension", [2, 5])
def test_curved_points_have_a_larger_null(dimension, tmp_path):
    """A sphere has as many equal principal components as the space around it has dimensions."""
    found, null = null_of(sphere(2000, dimension, np.random.default_rng(0)), tmp_path)
    assert found == pytest.approx(dimension, rel=0.1)
    assert null["id_null"] == pytest.approx(dimension + 1, rel=0.08)


def test_draws_have_the_spectrum_and_are_the_same_each_time():
    eigenvalues = [4.0, 1.0, 0.25, 0.0]
    points = gaussian_points(eigenvalues, 50_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(points.T), np.diag(eigenvalues[:3]), atol=0.05)
    draws = []
    for _ in range(2):
        estimate_null(eigenvalues, 9000, lambda points: draws.append(points) or {"id": 1.0})
    assert len(draws) == 4
    np.testing.assert_array_equal(np.array(draws[:2]), draws[2:])
    assert (draws[0] != draws[1]).any()


def test_points_without_spectrum_have_no_null(tmp_path):
    write_activations(tmp_path / "a.h5", {"x": np.ones((50, 3))}, None, None)
    run_program("estimate_pca", activations=tmp_path / "a.h5", layer="x", output=tmp_path / "pca.json")
    files = {"spectrum": tmp_path / "pca.json", "output": tmp_path / "null.json"}
    assert run_program("estimate_null", estimator="twonn", **files).returncode == 0
    null = json.loads((tmp_path / "null.json").read_text())
    assert null["id_null"] is None
    assert null["reason"].startswith("all points are the same")
    done = run_program("estimate_null", estimator="twonn", **files | {"spectrum": tmp_path / "null.json"})
    assert "null.json: made by estimate_null.py; should be made by estimate_pca.py" in done.stderr
