"""Properties of any points: what keeps distances keeps the ID, and every missing value has a reason.

Points take the same path as in a study: activations in HDF5, neighbor lists in HDF5, an estimate in JSON.
"""

import contextlib
import itertools
import json
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from actdim import plugins, registry
from actdim.estimators import result as estimates
from actdim.estimators.pca import pca
from actdim.neighbors.decimation import decimate
from actdim.neighbors.search import find_neighbors
from actdim.storage.activations_file import open_layer
from actdim.storage.json_files import read_json
from actdim.storage.neighbor_lists import NeighborLists, read_neighbors, write_lists
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import ortho_group

SOME = settings(
    max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
ESTIMATORS = {name: plugins.load_function(registry.ESTIMATORS, name) for name in registry.ESTIMATORS}
SMALLEST = {"gride": {"n1": 1}, "mle": {"k": 2}, "twonn": {}, "twonn_fit": {"subsamples": 2}}
METHODS = ["exact", "pynndescent", "sketch"]


def measure(points, method="exact", k=8, chosen=SMALLEST):
    """Return ({estimator: its JSON file's content}, (indices, distances, report)) of points (n, features)."""
    with TemporaryDirectory() as folder:
        activations, neighbors, output = (Path(folder) / name for name in ("a.h5", "n.h5", "id.json"))
        with h5py.File(activations, "w") as file:
            file["layers/x"] = points
        with open_layer(activations, "x") as (stored, _, _), h5py.File(neighbors, "w") as file:
            indices, distances, report = find_neighbors(stored, method, k)
            write_lists(file, np.arange(len(indices)), indices, distances, decimate(stored, indices, distances), report)
            found = {"pca": estimates.estimate(len(stored), pca, stored)}
        [(_, lists, report)], _ = read_neighbors(neighbors)
        for name, estimator in ESTIMATORS.items():
            if "reason" in report:
                found[name] = estimates.missing_estimate(len(points), report["reason"])
            else:
                found[name] = estimates.estimate(len(points), estimator, lists, **chosen[name])
        for name, result in found.items():
            with contextlib.redirect_stdout(None):
                estimates.write_estimates(output, [(None, result)])
            found[name] = read_json(output)
    return found, (lists.indices, lists.distances, report)


def strict(constant):
    """Refuse NaN and Infinity, which are not JSON."""
    raise AssertionError(f"{constant} in JSON")


def check(result, n):
    """Check that an estimate is a finite positive number inside its interval, or has a reason."""
    json.loads(json.dumps(result), parse_constant=strict)
    assert result["n_points"] == n
    if result["id"] is None:
        assert result["reason"]
        assert result["low"] is None
        assert result["high"] is None
    else:
        assert 0 < result["id"] < np.inf
        assert "reason" not in result
        if result["low"] is not None:
            assert result["low"] <= result["id"] <= result["high"]


def check_lists(points, indices, distances, k):
    """Check that neighbor lists are sorted distances to k other points."""
    n = len(points)
    assert indices.shape == distances.shape == (n, min(k, n - 1))
    assert np.isfinite(distances).all()
    assert (distances >= 0).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    for row, near in enumerate(indices):
        assert row not in near
        assert len(set(near.tolist())) == len(near)
        assert ((near >= 0) & (near < n)).all()


def any_points():
    """Points with any float values (nan, inf, huge, denormal, repeated), of any small shape."""

    def of_type(dtype):
        width = np.dtype(dtype).itemsize * 8
        few = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-7, 3.0])
        extreme = st.sampled_from([np.nan, np.inf, -np.inf, 6e4, 1e-7, 5.9e-8, 0.0])
        whole = st.floats(width=width)
        small = st.floats(-(2.0**-14), 2.0**-14, width=width)
        shape = st.tuples(st.integers(1, 40), st.integers(1, 6))
        return st.one_of(
            *(
                arrays.arrays(dtype, shape, elements=elements, fill=fill)
                for elements in (whole, small, few, st.one_of(few, extreme))
                for fill in (None, elements)
            )
        )

    return st.one_of(of_type(np.float16), of_type(np.float32), of_type(np.float64))


@pytest.mark.parametrize("method", METHODS)
@SOME
@given(points=any_points())
@example(points=np.zeros((1, 3), np.float32))
@example(points=np.zeros((2, 3), np.float16))
@example(points=np.arange(9, dtype=np.float32).reshape(3, 3))
@example(points=np.full((40, 3), 0.1))
@example(points=np.full((40, 3), np.nan, np.float16))
@example(points=np.r_[np.zeros((39, 2)), np.ones((1, 2))].astype(np.float32))
@example(points=np.r_[np.zeros((20, 2)), np.random.default_rng(0).normal(size=(20, 2))].astype(np.float16))
@example(points=np.random.default_rng(0).normal(size=(40, 4)) * 1e-30)
@example(points=np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32) * np.float32(1e-42))
@example(points=np.random.default_rng(0).normal(size=(40, 4)) * 1e30)
@example(points=np.random.default_rng(0).normal(size=(40, 4)) * 1e300)
@example(points=1e8 + np.random.default_rng(0).normal(size=(40, 4)))
@example(points=np.exp(np.random.default_rng(0).uniform(-80, 80, (40, 2))).astype(np.float32))
@example(points=np.array([[0.0]] * 30 + [[1.0]] * 2 + [[2.0]] * 2 + [[4.0]] * 2))
def test_any_points_give_a_number_or_a_reason(points, method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, (indices, distances, report) = measure(points, method)
    for result in found.values():
        check(result, len(points))
    if "reason" not in report:
        check_lists(points, indices, distances, 8)
        assert 0 <= report["recall"] <= 1


@pytest.mark.parametrize("n1", [1, 2, 4])
def test_ratios_of_any_sizes_give_a_number_or_a_reason(n1):
    """Nearly equal distances, except for one point: no warning, no overflow."""
    rng = np.random.default_rng(0)
    for near, apart in itertools.product((1e-7, 1e-5, 1e-3), (2, 1e3, 1e37)):
        distances = np.sort(1 + near * rng.random((5000, 8)), axis=1).astype(np.float32)
        distances[0, 2 * n1 - 1 :] *= apart
        lists = NeighborLists(distances, np.zeros((5000, 8), np.int32), {})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for name, chosen in (SMALLEST | {"gride": {"n1": n1}}).items():
                check(estimates.estimate(5000, ESTIMATORS[name], lists, **chosen), 5000)


def cloud(seed, n, dimension, features):
    """Return Gaussian points (n, features), float64, in a random subspace of the given dimension."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, dimension)) @ rng.standard_normal((dimension, features))


def compare(found, expected, tolerances):
    """Check that estimates are equal up to a relative tolerance for each estimator."""
    for name, tolerance in tolerances.items():
        for key in ("id", "low", "high"):
            if expected[name][key] is None:
                assert found[name][key] is None, (name, key)
            else:
                assert found[name][key] == pytest.approx(expected[name][key], rel=tolerance), (name, key)
        assert found[name]["n_dropped"] == expected[name]["n_dropped"]


CLOUDS = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.integers(20, 120),
    "dimension": st.integers(1, 5),
    "features": st.integers(5, 12),
}


@SOME
@given(
    **CLOUDS,
    dtype=st.sampled_from([np.float32, np.float64]),
    shift=st.sampled_from([0.0, 1.0, 100.0]),
    scale=st.sampled_from([1e-6, 1e-3, 1.0, 7.0, 1e4]),
)
def test_rotation_translation_and_scaling_change_no_id(seed, n, dimension, features, dtype, shift, scale):
    """Distances change by one common factor at most, so estimates stay the same up to rounding.

    A value of size s has a rounding error of s u, where u is the unit roundoff of its type. Over all features, and in
    a few operations, this moves a distance r by `off`, at most about 8 sqrt(features) s u; distances are then stored
    as float32. So log(r2 / r1) changes by at most 2 off / r1 + 2^-22. The ID is one over a (for twonn_fit, weighted)
    mean of such logarithms, so its relative change is at most the largest of these changes over that mean. Clouds
    whose bound is too large to test anything are left out. pca sums squares in float32 at most.
    """
    points = cloud(seed, n, dimension, features)
    rng = np.random.default_rng(seed)
    rotation = ortho_group.rvs(features, random_state=rng)
    moved = scale * (points @ rotation + shift * rng.standard_normal(features))
    expected, (_, distances, _) = measure(points.astype(dtype))
    found, (_, moved_distances, _) = measure(moved.astype(dtype))
    size = max(np.abs(points).max(), np.abs(moved).max() / scale)
    off = 8 * np.sqrt(features) * size * np.finfo(dtype).eps / 2
    np.testing.assert_allclose(moved_distances / scale, distances, atol=off, rtol=2**-22)
    nearest = distances[:, :2].astype(np.float64)
    change = 2 * off / nearest[:, 0].min() + 2.0**-22
    tolerance = change / np.log(nearest[:, 1] / nearest[:, 0]).mean()
    assume(tolerance < 0.01)
    compare(found, expected, dict.fromkeys(("twonn", "gride", "mle", "twonn_fit"), tolerance) | {"pca": 1e-3})


@SOME
@given(**CLOUDS, dtype=st.sampled_from([np.float16, np.float32]))
def test_the_order_of_points_changes_no_id(seed, n, dimension, features, dtype):
    """Distances stay the same bit for bit. Only the order of sums changes: in float64, for pca in float32.

    twonn_fit draws other subsamples, so its estimate moves within their spread.
    """
    points = cloud(seed, n, dimension, features).astype(dtype)
    order = np.random.default_rng(seed).permutation(n)
    expected, (indices, distances, _) = measure(points, chosen=SMALLEST | {"twonn_fit": {}})
    found, (permuted, permuted_distances, _) = measure(points[order], chosen=SMALLEST | {"twonn_fit": {}})
    np.testing.assert_array_equal(permuted_distances, distances[order])
    untied = (np.diff(distances[order], axis=1) > 0).all(axis=1)
    np.testing.assert_array_equal(order[permuted[untied, :-1]], indices[order][untied, :-1])
    compare(found, expected, dict.fromkeys(("twonn", "gride", "mle"), 1e-9) | {"pca": 1e-4})
    fit, other = found["twonn_fit"], expected["twonn_fit"]
    if fit["id"] and other["id"]:
        assert abs(fit["id"] - other["id"]) <= 4 * max(fit["std"], other["std"])


@SOME
@given(**CLOUDS, method=st.sampled_from(METHODS), k=st.integers(2, 30), dtype=st.sampled_from([np.float16, np.float32]))
def test_lists_hold_the_true_neighbors(seed, n, dimension, features, method, k, dtype):
    """Lists read back from HDF5, against all pairs in float64: exact search finds all, others 99 % of the first two."""
    points = cloud(seed, n, dimension, features).astype(dtype)
    _, (indices, distances, report) = measure(points, method, k)
    check_lists(points, indices, distances, k)
    wide = points.astype(np.float64)
    every = np.linalg.norm(wide[:, None] - wide, axis=2)
    np.testing.assert_allclose(distances, np.take_along_axis(every, indices, axis=1), rtol=1e-5, atol=1e-30)
    np.fill_diagonal(every, np.inf)
    true = np.sort(every, axis=1)[:, : distances.shape[1]]
    if report["search"] == "exact":
        np.testing.assert_allclose(distances, true, rtol=1e-5, atol=1e-30)
    else:
        assert np.mean(distances[:, :2] <= true[:, :2] * (1 + 1e-5)) >= 0.99
