"""Neighbor search against scikit-learn's brute force in float64."""

import os
import subprocess
import sys

import numpy as np
import pytest
from actdim import neighbors
from conftest import ROOT
from sklearn.neighbors import NearestNeighbors


def brute(points, k):
    """Return (indices, distances) by scikit-learn, in float64 by differences."""
    search = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(points.astype(np.float64))
    distances, indices = search.kneighbors()
    return indices, distances


def manifold(n, features, dimension, seed=0):
    """Return n points of a linear manifold as float16 would store them."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, dimension)) @ rng.normal(size=(dimension, features))).astype(np.float16)


def assert_same(found, true):
    """The distances agree, and so do the indices except among equally near points."""
    np.testing.assert_allclose(found[1], true[1], rtol=1e-5, atol=1e-6)
    assert np.mean(found[0] == true[0]) > 0.99


@pytest.mark.parametrize("shape", [(700, 3, 2), (700, 300, 10), (40, 5, 5), (3, 4, 4)])
def test_exact(shape):
    points = manifold(*shape)
    indices, distances, report = neighbors.find(points, "exact", 32)
    k = min(32, len(points) - 1)
    assert indices.shape == distances.shape == (len(points), k)
    assert indices.dtype == np.int32
    assert distances.dtype == np.float32
    assert_same((indices, distances), brute(points, k))
    assert report["recall"] == 1.0


def test_near_duplicates_far_from_the_origin_keep_their_order():
    """Differences of 1e-3 at norms of 1e4: a squared distance from norms and products has no correct digit."""
    rng = np.random.default_rng(0)
    points = (1e4 * rng.normal(size=50) + 1e-2 * rng.integers(-99, 99, size=(300, 50))).astype(np.float32)
    _, distances, _ = neighbors.find(points, "exact", 10)
    _, true_distances = brute(points, 10)
    np.testing.assert_allclose(distances, true_distances, rtol=1e-5)


def test_float64_near_duplicates():
    """What float64 tells apart stays apart: differences of 1e-9 at 1."""
    points = 1 + 1e-9 * np.random.default_rng(0).normal(size=(200, 5))
    _, distances, _ = neighbors.find(points, "exact", 10)
    np.testing.assert_allclose(distances, NearestNeighbors(n_neighbors=10).fit(points).kneighbors()[0], rtol=1e-5)


def test_near_duplicate_pairs_beside_far_points():
    """The product's rounding error is larger than the distance within a pair; the search must notice."""
    rng = np.random.default_rng(1)
    centers = 100 * rng.normal(size=(200, 20))
    points = np.concatenate([centers + 1e-3 * rng.normal(size=centers.shape) for _ in range(60)]).astype(np.float32)
    points = points[:6000]
    rows = np.arange(0, 6000, 97)
    _, distances = neighbors.search(points, 2, rows)
    for row, own in zip(distances, rows, strict=True):
        true = np.sort(np.linalg.norm(points.astype(np.float64) - points[own].astype(np.float64), axis=1))[1:3]
        np.testing.assert_allclose(row, true, rtol=1e-4)


def test_pynndescent_lists_are_clean_and_audited():
    points = manifold(2000, 60, 8)
    indices, distances, report = neighbors.find(points, "pynndescent", 32)
    assert report["recall"] >= 0.99
    assert np.isfinite(distances).all()
    assert (indices >= 0).all()
    assert (indices != np.arange(2000)[:, None]).all()
    assert all(len(set(row)) == 32 for row in indices.tolist())
    assert (np.diff(distances, axis=1) >= 0).all()
    true = brute(points, 32)
    true_recall = np.mean([len({*row[:2]} & {*best[:2]}) / 2 for row, best in zip(indices, true[0], strict=True)])
    assert report["recall"] == pytest.approx(true_recall, abs=0.02)
    rows = np.arange(2000)[:, None]
    straight = np.linalg.norm(points[rows].astype(np.float64) - points[indices].astype(np.float64), axis=2)
    np.testing.assert_allclose(distances, straight, rtol=1e-5)


def test_poor_recall_is_noticed_and_mended():
    """Two neighbors a point in 40 dimensions: pynndescent misses many of them."""
    points = np.random.default_rng(0).normal(size=(3000, 40))
    indices, distances, report = neighbors.find(points, "pynndescent", 2)
    assert "below 0.99" in report["note"]
    assert_same((indices, distances), brute(points.astype(np.float32), 2))


def test_missing_repeated_and_own_entries_never_stay():
    points = manifold(50, 10, 5).astype(np.float32)
    graph = np.argsort(((points[:, None] - points[None]) ** 2).sum(axis=2), axis=1)[:, :6].astype(np.int32)
    graph[3, 2] = -1
    graph[4, 3] = graph[4, 2]
    found = neighbors.tidy(points, graph, 5)
    assert_same(found, brute(points, 5))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(value):
    points = manifold(100, 5, 3)
    points[7, 2] = value
    indices, _, report = neighbors.find(points, "exact", 32)
    assert indices.shape == (100, 0)
    assert report["reason"] == "1 of 100 points are not finite"


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_points(n):
    assert neighbors.find(manifold(n, 5, 3), "exact", 32)[2]["reason"] == f"only {n} points"


@pytest.mark.parametrize("method", neighbors.METHODS)
def test_the_number_of_threads_changes_nothing(method, tmp_path):
    code = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "import hashlib, numpy as np\n"
        "from actdim import neighbors\n"
        "points = np.random.default_rng(0).normal(size=(1500, 100))\n"
        f"found = neighbors.find(points, {method!r}, 10)\n"
        "print(hashlib.sha256(found[0].tobytes() + found[1].tobytes()).hexdigest())\n"
    )
    digests = set()
    for threads in ("1", "2"):
        environment = os.environ | dict.fromkeys(
            ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"], threads
        )
        process = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        digests.add(process.stdout)
    assert len(digests) == 1


def test_compiled_code_is_kept_and_changes_nothing():
    """Ours finds its compiled code on disk, and gives the neighbors of pynndescent as it comes."""
    code = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "import hashlib, numpy as np\n"
        "points = np.random.default_rng(0).normal(size=(1500, 20)).astype(np.float32)\n"
        "{get}\n"
        "index = NNDescent(points, n_neighbors=11, random_state=0, n_jobs=1)\n"
        "print(hashlib.sha256(index.neighbor_graph[0].tobytes()).hexdigest())\n"
        "from pynndescent.pynndescent_ import init_rp_tree, process_candidates\n"
        "print(sum(sum(f.stats.cache_misses.values()) for f in (init_rp_tree, process_candidates)))\n"
    )
    ways = {
        "plain": "from pynndescent import NNDescent",
        "ours": "from actdim.compiled import nn_descent_class; NNDescent = nn_descent_class()",
    }
    outputs = {}
    for name in ("ours", "ours again", "plain"):
        process = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code.format(get=ways[name.split()[0]])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs[name] = process.stdout.split()
    assert outputs["ours"][0] == outputs["plain"][0]
    assert outputs["ours again"] == [outputs["plain"][0], "0"]
