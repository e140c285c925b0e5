"""Neighbor search against scikit-learn in float64."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from actdim.neighbors import decimation, exact, matmul
from actdim.neighbors import search as neighbors
from actdim.neighbors.approximate import measured_lists
from actdim.neighbors.search import find_neighbors
from actdim.storage.layer_reader import float_columns, widen
from actdim.threads import import_numba
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
    """Check that distances agree, and indices too, except among equally near points."""
    np.testing.assert_allclose(found[1], true[1], rtol=1e-5, atol=1e-6)
    assert np.mean(found[0] == true[0]) > 0.99


@pytest.mark.parametrize("shape", [(700, 3, 2), (700, 300, 10), (40, 5, 5), (3, 4, 4)])
def test_exact(shape):
    points = manifold(*shape)
    indices, distances, report = find_neighbors(points, "exact", 32)
    k = min(32, len(points) - 1)
    assert indices.shape == distances.shape == (len(points), k)
    assert indices.dtype == np.int32
    assert distances.dtype == np.float32
    assert_same((indices, distances), brute(points, k))
    assert report["recall"] == 1.0


def bfloat16(monkeypatch):
    """Compute every product in bfloat16; torch can do so on any machine."""
    monkeypatch.setattr(exact, "choose_matmul", lambda multiplications: matmul.bfloat16_matmul())


def float32(monkeypatch):
    monkeypatch.setattr(exact, "choose_matmul", lambda multiplications: matmul.FLOAT32)


def clusters(n, features, spread, seed=0):
    """Return points around ten centers of norm sqrt(features), as in the last layer of a trained classifier."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(10, features))
    return (centers[rng.integers(0, 10, n)] + spread * rng.normal(size=(n, features))).astype(np.float32)


POINTS = {
    "manifold": lambda: manifold(1500, 300, 20),
    "high dimension": lambda: np.random.default_rng(0).normal(size=(1500, 1200)).astype(np.float32),
    "clusters": lambda: clusters(1500, 64, 1e-2),
    "tight clusters": lambda: clusters(1500, 64, 1e-4),
    "norms of many sizes": lambda: manifold(1500, 50, 8) * np.geomspace(1e-2, 1e2, 1500, dtype=np.float16)[:, None],
    "duplicates": lambda: np.concatenate([manifold(1000, 30, 5), manifold(500, 30, 5)]),
    "mostly the same": lambda: np.concatenate([np.ones((700, 30)), np.zeros((9, 30))]).astype(np.float16),
    "discrete": lambda: np.random.default_rng(0).integers(0, 3, size=(1500, 6)).astype(np.float16),
}


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", [float32, bfloat16])
@pytest.mark.parametrize("name", POINTS)
def test_exact_whatever_the_arithmetic(name, arithmetic, monkeypatch):
    """The bound on the rounding error makes a coarse product safe: distances are right to float32's last digits."""
    arithmetic(monkeypatch)
    points = POINTS[name]()
    indices, distances = exact.exact_neighbors(points, 10)
    true = brute(points, 10)[1]
    np.testing.assert_allclose(distances, true, rtol=1e-5, atol=1e-6 * np.abs(points).max())
    rows = np.arange(len(points))[:, None]
    assert (indices != rows).all()
    wide = points.astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(wide[rows] - wide[indices], axis=2), distances, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("arithmetic", [float32, bfloat16])
def test_the_bound_on_the_error_holds_and_matters(arithmetic, monkeypatch):
    """Products are off by less than the bound; with a bound of 0, a coarse product misses neighbors."""
    arithmetic(monkeypatch)
    points, rows = clusters(1500, 64, 1e-2), np.arange(1500)
    product, slices = exact.choose_matmul(0), exact.column_slices(points.shape)
    operands = [exact.center_and_cast(values, product) for values in float_columns(points, slices)]
    products, norms = exact.cross_terms(operands, rows, rows, product, np.empty((1500, 1500), dtype=np.float32))
    centered = points.astype(np.float64) - points[:: -(-1500 // exact.CENTER)].mean(axis=0, dtype=np.float64)
    true = ((centered[:, None] - centered[None]) ** 2).sum(axis=2)
    off = np.abs(norms[:, None] + norms[None] + products - true) / (norms[:, None] + norms[None])
    assert off.max() < exact.relative_error(slices, product)
    if arithmetic is bfloat16:
        monkeypatch.setattr(exact, "relative_error", lambda slices, arithmetic: 0.0)
        _, distances = exact.exact_neighbors(points, 10)
        assert np.mean(np.abs(distances / brute(points, 10)[1] - 1) > 1e-4) > 0.01


@pytest.mark.parametrize("arithmetic", [float32, bfloat16])
def test_blocks_change_nothing(arithmetic, monkeypatch, tmp_path):
    """Read from HDF5 a few columns at a time, a few rows of products at a time: the same lists."""
    arithmetic(monkeypatch)
    points = manifold(1100, 400, 12)
    whole = exact.exact_neighbors(points, 10)
    monkeypatch.setattr(exact, "CHUNK_BYTES", 1100 * 4 * 150)
    monkeypatch.setattr(exact, "PRODUCT_BYTES", 1100 * 4 * 300)
    with h5py.File(tmp_path / "points.h5", "w") as file:
        file["points"] = points
        blocks = exact.exact_neighbors(file["points"], 10)
    np.testing.assert_array_equal(blocks[0], whole[0])
    np.testing.assert_allclose(blocks[1], whole[1], rtol=1e-6)


def test_some_rows_among_some_points():
    points = manifold(900, 40, 6)
    rows, among = np.arange(0, 900, 7), np.arange(0, 900, 2)
    indices, distances = exact.exact_neighbors(points, 3, rows, among)
    wide = points.astype(np.float64)
    square = ((wide[rows, None] - wide[None, among]) ** 2).sum(axis=2)
    square[rows[:, None] == among[None]] = np.inf
    np.testing.assert_array_equal(indices, among[np.argsort(square, axis=1)[:, :3]])
    np.testing.assert_allclose(distances, np.sqrt(np.sort(square, axis=1)[:, :3]), rtol=1e-5)


def test_numpy_and_numba_measure_alike():
    """Small searches are measured in numpy, large ones in numba."""
    points = manifold(300, 1500, 9).astype(np.float32)
    rows, near = np.arange(300), np.random.default_rng(0).integers(0, 300, (300, 12)).astype(np.int32)
    found = []
    for work in (0, np.inf):
        squares = np.zeros(near.shape)
        exact.distance_kernel(work)(points, rows, near, squares)
        found.append(squares)
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-9)
    wide = points.astype(np.float64)
    np.testing.assert_allclose(found[0], ((wide[rows, None] - wide[near]) ** 2).sum(axis=2), rtol=1e-5, atol=1e-9)


def test_float16_becomes_float32_bit_for_bit():
    """All 65,536 values, with infinities and NaN."""
    import_numba()
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    singles = np.empty(halves.shape, dtype=np.float32)
    checksums = widen(halves, singles, first=40)
    np.testing.assert_array_equal(singles, halves.astype(np.float32))
    weights = np.arange(81, 81 + 2 * 256, 2, dtype=np.uint64)
    np.testing.assert_array_equal(checksums, halves.view(np.uint16).astype(np.uint64) @ weights)


@pytest.mark.slow
def test_memory_stays_bounded_however_many_features(tmp_path):
    """A layer of 1.5 GB as float32, 0.75 GB on disk, is searched in less than it would take, torch left out."""
    path = tmp_path / "wide.h5"
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(6000, 10)).astype(np.float32)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("points", (6000, 65536), dtype=np.float16)
        for left in range(0, 65536, 4096):
            data[:, left : left + 4096] = latent @ rng.normal(size=(10, 4096)).astype(np.float32)
    code = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "import h5py, torch\n"
        "from actdim.neighbors.search import find_neighbors\n"
        "def peak():\n"
        "    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "before = peak()\n"
        f"with h5py.File({str(path)!r}) as file:\n"
        "    print(find_neighbors(file['points'], 'auto', 32)[2]['recall'], peak() - before)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    recall, kilobytes = process.stdout.split()
    assert recall == "1.0"
    assert int(kilobytes) < 1e6


def test_near_duplicates_far_from_the_origin_keep_their_order():
    """Differences of 1e-3 at norms of 1e4: a squared distance from norms and products has no correct digit."""
    rng = np.random.default_rng(0)
    points = (1e4 * rng.normal(size=50) + 1e-2 * rng.integers(-99, 99, size=(300, 50))).astype(np.float32)
    _, distances, _ = find_neighbors(points, "exact", 10)
    _, true_distances = brute(points, 10)
    np.testing.assert_allclose(distances, true_distances, rtol=1e-5)


def test_float64_near_duplicates():
    """Points that differ by 1e-9 at 1 stay distinct."""
    points = 1 + 1e-9 * np.random.default_rng(0).normal(size=(200, 5))
    _, distances, _ = find_neighbors(points, "exact", 10)
    np.testing.assert_allclose(distances, NearestNeighbors(n_neighbors=10).fit(points).kneighbors()[0], rtol=1e-5)


def test_near_duplicate_pairs_beside_far_points():
    """The product's rounding error is larger than the distance within a pair; the search must notice."""
    rng = np.random.default_rng(1)
    centers = 100 * rng.normal(size=(200, 20))
    points = np.concatenate([centers + 1e-3 * rng.normal(size=centers.shape) for _ in range(30)]).astype(np.float32)
    rows = np.arange(0, 6000, 97)
    _, distances = exact.exact_neighbors(points, 2, rows)
    for row, own in zip(distances, rows, strict=True):
        true = np.sort(np.linalg.norm(points.astype(np.float64) - points[own].astype(np.float64), axis=1))[1:3]
        np.testing.assert_allclose(row, true, rtol=1e-4)


def test_pynndescent_lists_are_clean_and_audited():
    points = manifold(2000, 60, 8)
    indices, distances, report = find_neighbors(points, "pynndescent", 32)
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


def test_poor_recall_is_searched_harder_and_at_last_exactly():
    """Few neighbors in many dimensions: pynndescent misses many of them."""
    points = np.random.default_rng(0).normal(size=(3000, 40))
    indices, distances, report = find_neighbors(points, "pynndescent", 2)
    assert "effort 1, below 0.99" in report["notes"]
    assert report["search"] == "exact"
    assert_same((indices, distances), brute(points.astype(np.float32), 2))


def test_a_harder_search_can_be_enough(monkeypatch):
    """Where the exact search would cost more, twice the effort is tried first, and the report says so."""
    monkeypatch.setattr(neighbors, "expected_seconds", lambda method, n, features, effort=1: method is neighbors.exact)
    points = manifold(3000, 60, 12).astype(np.float32)
    _, distances, report = find_neighbors(points, "pynndescent", 6)
    assert report["search"] == "pynndescent"
    assert report["recall"] >= 0.99
    assert report["notes"].startswith("recall 0.9")
    assert np.mean(np.isclose(distances[:, :2], brute(points, 2)[1], rtol=1e-5)) > 0.98


def test_auto_takes_the_cheaper(monkeypatch):
    assert find_neighbors(manifold(500, 10, 4), "auto", 5)[2]["search"] == "exact"
    monkeypatch.setattr(neighbors, "expected_seconds", lambda method, *size: method is neighbors.exact)
    report = find_neighbors(manifold(500, 10, 4), "auto", 5)[2]
    assert (report["method"], report["search"]) == ("auto", "pynndescent")
    assert neighbors.expected_seconds(neighbors.exact, 10, 1)


def test_missing_repeated_and_own_entries_never_stay():
    points = manifold(50, 10, 5).astype(np.float32)
    graph = np.argsort(((points[:, None] - points[None]) ** 2).sum(axis=2), axis=1)[:, :6].astype(np.int32)
    graph[3, 2] = -1
    graph[4, 3] = graph[4, 2]
    found = measured_lists(points, graph, 5)
    assert_same(found, brute(points, 5))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(value):
    points = manifold(100, 5, 3)
    points[7, 2] = value
    indices, _, report = find_neighbors(points, "exact", 32)
    assert indices.shape == (100, 0)
    assert report["reason"] == "1 of 100 points are not finite"


@pytest.mark.parametrize(
    ("scale", "reason"),
    [(0, "all points are the same"), (1e-20, "too near for float32"), (1e30, "too large for float32")],
)
def test_values_that_float32_cannot_square(scale, reason):
    points = scale * np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    assert reason in find_neighbors(points, "exact", 32)[2]["reason"]


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_points(n):
    assert find_neighbors(manifold(n, 5, 3), "exact", 32)[2]["reason"] == f"only {n} points"


def test_decimated_neighbors_are_those_of_a_new_search():
    """Lists of five do not reach the second neighbor in an eighth of the points: those are searched."""
    points = manifold(1600, 20, 6)
    indices, distances, _ = find_neighbors(points, "exact", 5)
    order = np.random.default_rng(3).permutation(1600)
    for part, found in decimation.decimate(points, indices, distances, seed=3).items():
        true = brute(points[np.sort(order[: 1600 // part])], 2)[1]
        np.testing.assert_allclose(found, true, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pynndescent", "sketch", "exact"])
def test_the_number_of_threads_changes_nothing(method):
    code = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "import hashlib, numpy as np\n"
        "from actdim.neighbors.search import find_neighbors\n"
        "points = np.random.default_rng(0).normal(size=(1500, 8))\n"
        "points = np.sin(points[:, :, None] * np.linspace(1, 3, 300)).reshape(1500, 2400)\n"
        f"found = find_neighbors(points, {method!r}, 32)\n"
        f"assert found[2]['search'] == {method!r}\n"
        "print(hashlib.sha256(found[0].tobytes() + found[1].tobytes()).hexdigest())\n"
    )
    digests = set()
    for threads in ("1", "4"):
        environment = os.environ | dict.fromkeys(
            ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"], threads
        )
        process = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        digests.add(process.stdout)
    assert len(digests) == 1


@pytest.mark.slow
def test_compiled_code_is_cached_for_known_releases_and_changes_nothing():
    """The neighbors are those of pynndescent as it comes, which other releases than the known ones get."""
    code = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "import hashlib, numpy as np\n"
        "from actdim.neighbors import pynndescent_cache\n"
        "if 'known' not in sys.argv[1]: pynndescent_cache.KNOWN_RELEASES = {('0.7.0', 'of numba')}\n"
        "points = np.random.default_rng(0).normal(size=(1500, 20)).astype(np.float32)\n"
        "index = pynndescent_cache.nn_descent_class()(points, n_neighbors=11, random_state=0, n_jobs=1)\n"
        "print(hashlib.sha256(index.neighbor_graph[0].tobytes()).hexdigest())\n"
        "from pynndescent.pynndescent_ import init_rp_tree, nn_descent, process_candidates\n"
        "print(sum(sum(f.stats.cache_misses.values()) for f in (init_rp_tree, process_candidates)))\n"
        "print(type(nn_descent).__name__)\n"
    )
    outputs = {}
    for releases in ("known", "known again", "others"):
        process = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, releases],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs[releases] = process.stdout.split()
    neighbors, compiled_again, kind = outputs["others"]
    assert int(compiled_again) > 0
    assert kind == "CPUDispatcher"
    assert outputs["known"][0] == neighbors
    assert outputs["known again"] == [neighbors, "0", "function"]
