"""Exact copies of points, and neighbor lists that another library made: the ID is that of the distinct points."""

import json
import subprocess

import h5py
import numpy as np
import pytest
from actdim.errors import UserError
from actdim.estimators.gride import gride
from actdim.estimators.mle import mle
from actdim.estimators.twonn import twonn
from actdim.estimators.twonn_fit import twonn_fit
from actdim.neighbors.copies import find_distinct_neighbors
from actdim.neighbors.lists_of_others import usual_lists
from actdim.storage.neighbor_lists import NeighborLists
from conftest import ROOT
from scipy.spatial import cKDTree

ESTIMATORS = [twonn, twonn_fit, gride, mle]


def points_of_dimension_5(n, seed=0):
    """Return (n, 20) float32 points of a Gaussian with five dimensions."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 5)) @ rng.normal(size=(5, 20))).astype(np.float32)


def lists_of(points, method="exact"):
    """Return (rows, NeighborLists, report) of the distinct points."""
    rows, _, indices, distances, report = find_distinct_neighbors(points, method, 32)
    return rows, NeighborLists(distances, indices, {}), report


@pytest.mark.parametrize("method", ["exact", "pynndescent", "sketch"])
@pytest.mark.parametrize("copied", [0.2, 0.5, 1.0, 3.0])
def test_copies_change_no_estimate(method, copied):
    distinct = points_of_dimension_5(1000)
    copies = np.tile(distinct, (3, 1))[: int(1000 * copied)]
    order = np.random.default_rng(1).permutation(1000 + len(copies))
    rows, found, report = lists_of(np.concatenate([distinct, copies])[order], method)
    assert report["n_copies"] == len(copies)
    assert len(rows) == 1000
    _, alone, _ = lists_of(np.concatenate([distinct, copies])[order][rows])
    for estimator in ESTIMATORS:
        expected = estimator(alone)["id"]
        assert estimator(found)["id"] == pytest.approx(expected, rel=1e-6 if method == "exact" else 0.01)
        assert expected == pytest.approx(5, rel=0.15)


def test_more_copies_than_neighbors():
    distinct = points_of_dimension_5(200)
    rows, found, report = lists_of(np.concatenate([distinct, np.repeat(distinct[:5], 100, axis=0)]))
    assert (report["n_copies"], list(rows)) == (500, list(range(200)))
    assert (found.distances > 0).all()


def test_zeros_of_either_sign_are_equal():
    points = np.abs(points_of_dimension_5(100))
    points[:, :10] = 0
    assert lists_of(np.concatenate([points, np.where(points == 0, -0.0, points)]))[2]["n_copies"] == 100


def test_no_copies_leave_the_points_alone():
    points = points_of_dimension_5(100)
    rows, same, _, _, report = find_distinct_neighbors(points, "exact", 5)
    assert same is points
    assert report["n_copies"] == 0
    assert list(rows) == list(range(100))


# Lists of another library


def others(points, k=16):
    """Return (distances, indices) as SciPy's tree gives them: the point itself first."""
    distances, indices = cKDTree(points).query(points, k)
    return distances.astype(np.float32), indices


def test_the_point_itself_first_is_dropped():
    points = points_of_dimension_5(1000)
    distances, indices = others(points)
    _, expected, _ = lists_of(points)
    for order in (slice(None), slice(None, None, -1)):  # sorted or not
        found, report = usual_lists(NeighborLists(distances[:, order], indices[:, order], {}), {}, "lists.h5")
        assert np.array_equal(found.indices, expected.indices[:, :15])
        assert report["n_copies"] == 0
    assert gride(found)["id"] == pytest.approx(gride(NeighborLists(found.distances, found.indices, {}))["id"])
    assert gride(found)["id"] == pytest.approx(5, rel=0.1)


def test_repeated_neighbors_in_lists_of_others_are_left_out():
    """As some versions of pynndescent have them."""
    distances, indices = others(points_of_dimension_5(1000))
    expected, _ = usual_lists(NeighborLists(distances, indices, {}), {}, "lists.h5")
    twice = np.concatenate([indices[:, :4], indices[:, 3:]], axis=1)
    distances = np.concatenate([distances[:, :4], distances[:, 3:]], axis=1)
    found, _ = usual_lists(NeighborLists(distances, twice, {}), {}, "lists.h5")
    assert np.array_equal(found.indices, expected.indices)
    assert np.array_equal(found.distances, expected.distances)


def test_copies_in_lists_of_others_are_left_out():
    distinct = points_of_dimension_5(500)
    distances, indices = others(np.concatenate([distinct, distinct[:50]]))
    found, report = usual_lists(NeighborLists(distances, indices, {}), {}, "lists.h5")
    assert report["n_copies"] == 50
    _, expected, _ = lists_of(distinct)
    width = found.indices.shape[1]
    assert np.array_equal(found.indices, expected.indices[:, :width])
    assert found.distances == pytest.approx(expected.distances[:, :width], rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    {
        "squared": (lambda distances, indices: (distances**2, indices), "break the triangle inequality; are they sq"),
        "out of range": (lambda distances, indices: (distances, indices + 1), "integers from 0 to 499"),
        "floats": (lambda distances, indices: (distances, indices.astype(float)), "integers from 0 to 499"),
        "negative": (lambda distances, indices: (-distances, indices), "finite and 0 or more"),
        "the point alone": (lambda distances, indices: (distances[:, :2], indices[:, :2]), "fewer than two neighbors"),
    }.values(),
)
def test_wrong_lists_of_others_are_one_line(change, message):
    distances, indices = change(*others(points_of_dimension_5(500)))
    with pytest.raises(UserError, match=message):
        usual_lists(NeighborLists(distances, indices, {}), {}, "lists.h5")


@pytest.mark.slow
def test_programs_count_copies(tmp_path):
    """By hand, from a file of one's own, with classes, too."""
    points = np.concatenate([points_of_dimension_5(600), points_of_dimension_5(600)[:120]])
    own, lists, result = tmp_path / "own.h5", tmp_path / "n.h5", tmp_path / "id.json"
    with h5py.File(own, "w") as file:
        file["layers/last"], file["labels"] = points, np.arange(720) % 2
    for option, copies in ([], [120]), (["--by-class"], [60, 60]):
        run("find_neighbors.py", "--activations", own, "--layer", "last", *option, "--output", lists)
        run("estimate_id.py", "--neighbors", lists, "--estimator", "twonn", "--output", result)
        found = json.loads(result.read_text())
        assert [group["n_copies"] for group in found.get("classes", [found])] == copies


def run(program, *arguments):
    """Run a program; fail the test with its output if it fails."""
    done = subprocess.run([ROOT / "scripts" / program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
