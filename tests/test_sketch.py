"""The search by a sketch against the exact one and scikit-learn."""

import h5py
import numpy as np
import pytest
from actdim.errors import UserError
from actdim.neighbors import exact, kernels, sketch
from actdim.neighbors import search as neighbors
from actdim.neighbors.search import find_neighbors
from actdim.neighbors.sketch import Plan, nearest_in_sketch, without_itself
from actdim.storage.activations_file import open_layer, write_row_checksums
from actdim.storage.hdf5 import FORMAT, write_attributes, write_checksum
from actdim.storage.layer_reader import row_checksums
from sklearn.neighbors import NearestNeighbors


def activations(n, features, dimension, seed=0):
    """Return activations (n, features) float32 of a random ReLU network whose inputs have `dimension` dimensions."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(dimension, 256)), rng.normal(size=(256, features))
    hidden = np.maximum(rng.normal(size=(n, dimension)) @ first / dimension**0.5, 0)
    return np.maximum(hidden @ second / 16, 0).astype(np.float32)


def dimension(distances):
    """Return the TwoNN ID."""
    return len(distances) / np.log(distances[:, 1] / distances[:, 0]).sum()


def assert_near_the_truth(points, k=32):
    """Check lists by a sketch: clean, distances right, recall as audited, the ID that of the true neighbors."""
    indices, distances, report = find_neighbors(points, "sketch", k)
    assert report["search"] == "sketch", report
    assert indices.shape == distances.shape == (len(points), k)
    assert (indices != np.arange(len(points))[:, None]).all()
    assert all(len(set(row)) == k for row in indices.tolist())
    assert (np.diff(distances, axis=1) >= 0).all()
    wide = points.astype(np.float64)
    rows = np.arange(0, len(points), 7)
    straight = np.linalg.norm(wide[rows, None] - wide[indices[rows]], axis=2)
    np.testing.assert_allclose(distances[rows], straight, rtol=1e-5)
    true = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(wide).kneighbors()[0]
    recall, recall_k = (distances[:, :2] <= true[:, :2] * (1 + 1e-5)).mean(), (distances <= true[:, -1:] * (1 + 1e-5))
    assert report["recall"] == pytest.approx(recall, abs=0.01)
    assert report["recall_k"] == pytest.approx(recall_k.mean(), abs=0.02)
    assert recall >= 0.99
    assert dimension(distances) == pytest.approx(dimension(true), rel=5e-3)
    return report


@pytest.mark.slow
@pytest.mark.parametrize("features", [40, 700, 3000])
@pytest.mark.parametrize("float_type", [np.float16, np.float32, np.float64])
def test_lists_are_those_of_scikit_learn(features, float_type):
    points = activations(1500, features, 8).astype(float_type)
    report = assert_near_the_truth(points)
    assert report["notes"].startswith(f"{min(features, 1024)} sums")


@pytest.mark.slow
def test_two_neighbors_alone():
    assert_near_the_truth(activations(1500, 3000, 20), k=2)


def outliers(kind):
    """Return wide activations of which a feature, or a point, is 1e4 times larger than the others."""
    points, rng = activations(1500, 3000, 10), np.random.default_rng(1)
    if kind == "constant":
        points[:, 77] = 1e4
    elif kind == "constant but for noise":
        points[:, 77] = 1e4 + rng.normal(size=1500)
    elif kind == "in some points":
        points[:, 77] = 1e4 * (rng.random(1500) < 0.02)
    elif kind == "varying":
        points[:, 77] = 1e4 * rng.normal(size=1500)
    elif kind == "a point":
        points[3] *= 1e4
    return points


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["constant", "constant but for noise", "in some points", "varying", "a point"])
def test_a_huge_feature_does_not_spoil_it(kind):
    assert_near_the_truth(outliers(kind))


def test_tight_clusters_do_not_spoil_it():
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(10, 2000)) / 2000**0.5
    spread = rng.normal(size=(1500, 5)) @ rng.normal(size=(5, 2000)) / 2000**0.5
    assert_near_the_truth((centers[rng.integers(10, size=1500)] + 1e-2 * spread).astype(np.float32))


@pytest.mark.slow
def test_too_many_dimensions_for_a_sketch_are_searched_exactly():
    points = np.random.default_rng(0).normal(size=(600, 9000)).astype(np.float32)
    indices, distances, report = find_neighbors(points, "sketch", 32)
    assert report["search"] == "exact"
    assert report["notes"] == "1024 sums tell too little; 2048 sums tell too little"
    true = exact.exact_neighbors(points, 32)
    np.testing.assert_array_equal(indices, true[0])
    np.testing.assert_array_equal(distances, true[1])


def test_the_audit_finds_a_poor_search(monkeypatch):
    """A plan that promises too much: the audit compares with true neighbors, not with what the plan took for them."""
    monkeypatch.setattr(sketch, "cheapest_plan", lambda *_: Plan(1, 33))
    points = activations(1500, 40, 10)
    indices, _, report = find_neighbors(points, "sketch", 32)
    assert report["search"] == "exact"
    assert "of all, with 40 sums, 1 axes, 33 candidates" in report["notes"]
    np.testing.assert_array_equal(indices, exact.exact_neighbors(points, 32)[0])


def test_few_points_are_searched_exactly():
    report = find_neighbors(activations(100, 40, 5), "sketch", 32)[2]
    assert (report["search"], report["notes"]) == ("exact", "too few points for a sketch")


def test_values_that_are_not_finite():
    points = activations(500, 2000, 5)
    points[7, 1500] = np.nan
    assert find_neighbors(points, "sketch", 32)[2]["reason"] == "1 of 500 points are not finite"


@pytest.mark.slow
def test_blocks_change_nothing(monkeypatch, tmp_path):
    """Read from HDF5 a few columns at a time, compared a few points at a time: the same lists."""
    points = activations(1500, 2500, 10).astype(np.float16)
    at_once = find_neighbors(points, "sketch", 10)
    monkeypatch.setattr(exact, "CHUNK_BYTES", 1500 * 4 * 333)
    monkeypatch.setattr(sketch, "TILE", 400)
    monkeypatch.setattr(sketch, "STRIP_BYTES", 4 * 400 * 64)
    monkeypatch.setattr(sketch, "SORTED", 100)
    with h5py.File(tmp_path / "points.h5", "w") as file:
        file["points"] = points
        blocks = find_neighbors(file["points"], "sketch", 10)
    np.testing.assert_array_equal(blocks[0], at_once[0])
    np.testing.assert_allclose(blocks[1], at_once[1], rtol=1e-6)


@pytest.mark.slow
def test_the_seed_matters_and_repeats():
    points = activations(1500, 2500, 20)
    first, again, other = (find_neighbors(points, "sketch", 32, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


def test_a_corrupt_file_is_found(tmp_path):
    points = activations(600, 2000, 5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("layers/x", data=points)
        write_row_checksums(data, row_checksums(points))
        file["labels"] = np.zeros(600)
        write_checksum(file["labels"], np.zeros(600))
        write_attributes(file, {"format": FORMAT})
        write_checksum(file)
    with open_layer(tmp_path / "a.h5", "x") as (stored, _, _):
        assert find_neighbors(stored, "sketch", 5)[2]["search"] == "sketch"
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["layers/x"][300, 1999] += 1
    with open_layer(tmp_path / "a.h5", "x") as (stored, _, _), pytest.raises(UserError, match="checksum mismatch"):
        find_neighbors(stored, "sketch", 5)


@pytest.mark.slow
def test_sums_keep_distances():
    """On average, with a relative deviation of the squares of at most sqrt(2 / m)."""
    points = activations(600, 5000, 20)
    sums, *_ = sketch.project(points, 2, 0, 500)
    first, second = np.triu_indices(600, 1)
    ratios = ((sums[first] - sums[second]) ** 2).sum(axis=1) / ((points[first] - points[second]) ** 2).sum(axis=1)
    assert ratios.mean() == pytest.approx(1, abs=0.02)
    assert ratios.std() < 1.1 * (2 / 500) ** 0.5


def test_a_feature_is_a_sum_of_its_own_where_features_are_few():
    points = activations(600, 50, 5)
    sums, *_ = sketch.project(points, 2, 0, 50)
    centered = points - points[:: -(-600 // exact.CENTER)].mean(axis=0)
    np.testing.assert_allclose(np.sort(np.abs(sums)), np.sort(np.abs(centered)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "axes", "width"), [(1000, 5, 40), (3000, 30, 7), (200, 3, 199), (65, 2, 1)])
@pytest.mark.parametrize("tile", [64, 1000, 5000])
def test_candidates_are_the_nearest_in_the_sketch(n, axes, width, tile, monkeypatch):
    monkeypatch.setattr(sketch, "TILE", tile)
    points = np.random.default_rng(0).normal(size=(n, axes)).astype(np.float32)
    candidates = nearest_in_sketch(points, width)
    true = NearestNeighbors(n_neighbors=width, algorithm="brute").fit(points).kneighbors()[1]
    assert (np.sort(candidates, axis=1) == np.sort(true, axis=1)).mean() > 0.999


def test_candidates_of_equal_points():
    """Hundreds of copies: any of them will do, and the point itself is never a candidate."""
    points = np.repeat(np.random.default_rng(0).normal(size=(5, 4)), 300, axis=0).astype(np.float32)
    candidates = nearest_in_sketch(points, 20)
    assert (candidates != np.arange(1500)[:, None]).all()
    assert (candidates // 300 == np.arange(1500)[:, None] // 300).all()
    assert all(len(set(row)) == 20 for row in candidates.tolist())


def test_smallest_values_come_first():
    values = np.random.default_rng(0).permutation(100).astype(np.float32)
    columns = np.arange(100, dtype=np.int32)
    original = values.copy()
    assert kernels.cut_to_smallest(values, columns, 7) == 6
    assert sorted(values[:7]) == list(range(7))
    np.testing.assert_array_equal(original[columns], values)


def test_the_row_itself_or_else_the_last_is_left_out():
    columns = np.array([[0, 5, 6], [5, 1, 6], [5, 6, 2], [5, 6, 7]], dtype=np.int32)
    left = without_itself(columns, np.arange(4))
    assert [set(row) for row in left.tolist()] == [{5, 6}, {5, 6}, {5, 6}, {5, 6}]


def test_auto_takes_a_sketch_of_wide_layers():
    assert neighbors.fastest_method(10_000, 8192) is neighbors.sketch
    assert neighbors.fastest_method(900, 64) is neighbors.exact
    assert neighbors.fastest_method(3_000_000, 64) is neighbors.pynndescent
