"""Estimators against DADApy and scikit-dimension, and against its manifolds of known dimension.

Both run in an environment of their own (see peers.py), because they need an older numpy.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from actdim.estimators.gride import gride
from actdim.estimators.mle import mle
from actdim.estimators.pca import pca
from actdim.estimators.ratios import log_ratios
from actdim.estimators.twonn import twonn
from actdim.estimators.twonn_fit import slope, twonn_fit
from actdim.neighbors.search import find_neighbors
from actdim.storage.neighbor_lists import NeighborLists
from conftest import ROOT
from scipy.special import ndtri
from sklearn.neighbors import NearestNeighbors

pytestmark = pytest.mark.slow  # the peers import for seconds

PEERS = Path(os.environ.get("ACTDIM_PEERS", ROOT / ".venv-peers/bin/python"))
K = 32
ESTIMATORS = (twonn, twonn_fit, gride, mle)

NEAR = 7  # percent of the true dimension
BAND = 4  # percentage points about the measured bias
# Mean percentage by which each estimator was off over 12 draws of 2,500 points, where that is more than a few. A
# neighborhood of few points in many dimensions is large: it reaches beyond the boundary, over changes of the density,
# or to the next turn of a fold, the more so the more neighbors the estimator asks for.
BIASES = {  # twonn, twonn_fit, gride, mle
    # boundaries, or curvature, in 9 dimensions or more: too low, as known of all estimators from neighbors
    "M1_Sphere": (-4.8, -5.6, -6.8, -9.9),
    "M9_Affine": (-21.6, -22.3, -24.9, -27.6),
    "M10a_Cubic": (-8.6, -8.7, -10.5, -13.0),
    "M10b_Cubic": (-16.5, -17.4, -19.5, -22.4),
    "M10c_Cubic": (-23.4, -24.0, -25.7, -28.4),
    "M10d_Cubic": (-41.3, -42.2, -45.0, -49.1),
    "M12_Norm": (-14.6, -14.9, -17.5, -22.6),
    "Mn1_Nonlinear": (-19.7, -20.3, -21.7, -24.8),
    "Mn2_Nonlinear": (-23.5, -24.4, -25.9, -29.5),
    # a density that changes within a neighborhood: too low
    "Mbeta": (-35.0, -35.1, -37.9, -41.9),
    "Mp2_Paraboloid": (-10.1, -10.3, -13.9, -21.1),
    "Mp3_Paraboloid": (-20.2, -20.2, -24.6, -34.7),
    # folds nearer to one another than a neighborhood is large: too high
    "M5b_Helix2d": (0.5, 0.9, 6.5, 29.4),
    "M6_Nonlinear": (-0.6, -0.2, 0.6, 6.1),
    "M8_Nonlinear": (11.3, 11.9, 13.2, 12.4),
    "M13b_Spiral": (-1.3, -0.5, 1.8, 55.0),
}


def gaussian(n, dimension, features):
    """Return a linear image of a Gaussian."""
    rng = np.random.default_rng(dimension)
    return rng.normal(size=(n, dimension)) @ rng.normal(size=(dimension, features))


POINTS = {
    "plane": gaussian(1000, 2, 10),
    "gaussian": gaussian(2000, 5, 30),
    "wide": np.maximum(gaussian(400, 12, 900), 0),
}


def ask(*arguments):
    """Run peers.py with the peers' Python; fail if it is not installed."""
    if not PEERS.exists():
        pytest.fail(f"no {PEERS}: run `make .venv-peers/installed`", pytrace=False)
    done = subprocess.run([PEERS, ROOT / "tests/peers.py", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def manifolds(tmp_path_factory):
    """{name: (true dimension, [points of each draw])} of scikit-dimension's BenchmarkManifolds."""
    path = tmp_path_factory.mktemp("peers") / "manifolds.npz"
    ask("manifolds", path)
    with np.load(path) as arrays:
        names = [key.split("/")[0] for key in arrays if key.endswith("/dimension")]
        draws = {name: [arrays[key] for key in arrays if key.startswith(f"{name}/points/")] for name in names}
        return {name: (int(arrays[f"{name}/dimension"]), draws[name]) for name in names}


@pytest.fixture(scope="session")
def theirs(manifolds, tmp_path_factory):
    """{data set: {estimate: number}} of both peers: POINTS from our distances, manifolds from their own searches."""
    folder = tmp_path_factory.mktemp("peers")
    arrays = {f"{name}/points": points for name, points in POINTS.items()}
    arrays |= {f"{name}/points": draws[0] for name, (_, draws) in manifolds.items()}
    for name, points in POINTS.items():
        arrays[f"{name}/distances"], arrays[f"{name}/indices"], _ = lists(points)
    np.savez(folder / "input.npz", **arrays)
    ask("estimate", folder / "input.npz", folder / "output.json")
    return json.loads((folder / "output.json").read_text())


def lists(points):
    """Return the neighbors by scikit-learn, in float64, which a comparison to 1e-6 needs."""
    return NeighborLists(*NearestNeighbors(n_neighbors=K).fit(points).kneighbors(), {})


@pytest.fixture(scope="session")
def ours(manifolds):
    """{name: [Lists of each draw]} of the manifolds, by our own search."""
    return {name: [lists_of(points) for points in draws] for name, (_, draws) in manifolds.items()}


def lists_of(points):
    """Return the NeighborLists of points by our own search."""
    indices, distances, _ = find_neighbors(points, "auto", K)
    return NeighborLists(distances, indices, {})


@pytest.mark.parametrize("name", POINTS)
def test_twonn(theirs, name):
    """The peers use the unbiased estimate (N - 1) / sum; ours is the maximum-likelihood estimate N / sum."""
    n, whole = len(POINTS[name]), twonn(lists(POINTS[name]))["id"]
    assert theirs[name]["skdim mle"] == pytest.approx(whole * (n - 1) / n, rel=1e-6)
    assert theirs[name]["dadapy ml"] == pytest.approx(whole * (n - 1) / n, rel=1e-6)


@pytest.mark.parametrize("name", POINTS)
def test_censored_twonn(theirs, name):
    """scikit-dimension uses the unbiased (r - 1) / sum, where r points are not censored; DADApy does not censor."""
    counted = len(POINTS[name]) * 9 // 10
    censored = twonn(lists(POINTS[name]), fraction=0.9)["id"]
    assert theirs[name]["skdim censored"] == pytest.approx(censored * (counted - 1) / counted, rel=1e-6)


@pytest.mark.parametrize("name", POINTS)
def test_twonn_by_regression(theirs, name):
    """All use F_i = i / N. The peers keep r1 = r2, which does not occur here, and use no subsamples."""
    ratios, _ = log_ratios(lists(POINTS[name]).distances)
    fitted = slope(np.sort(ratios), 0.9)
    assert theirs[name]["skdim linear"] == pytest.approx(fitted, rel=1e-6)
    assert theirs[name]["dadapy base"] == pytest.approx(fitted, rel=1e-6)


@pytest.mark.parametrize("name", POINTS)
def test_mle(theirs, name):
    assert theirs[name]["skdim levina"] == pytest.approx(mle(lists(POINTS[name]), k=20)["id"], rel=1e-6)


@pytest.mark.parametrize("name", POINTS)
def test_gride(theirs, name):
    """DADApy maximizes the likelihood with d^(N - 1) in place of d^N, by bisection to 1e-7.

    To first order this moves the maximum, and its standard error, by -error^2 / d; the next order is (error / d)^4 of
    d. DADApy drops outliers among the ratios; there are none here.
    """
    scales = gride(lists(POINTS[name]))["scales"]
    ids = np.array([scale["id"] for scale in scales])
    errors = (np.array([scale["high"] for scale in scales]) - ids) / ndtri(0.975)
    assert theirs[name]["dadapy gride"] == pytest.approx(ids - errors**2 / ids, abs=2e-7, rel=(errors / ids).max() ** 4)
    assert theirs[name]["dadapy gride errors"] == pytest.approx(errors, rel=2 * (errors / ids).max() ** 2)


@pytest.mark.parametrize("name", POINTS)
def test_pca(theirs, name):
    """Ours sums products in float32; theirs use singular values in float64."""
    found = pca(POINTS[name])
    assert theirs[name]["skdim participation"] == pytest.approx(found["id"], rel=1e-5)
    assert theirs[name]["skdim components"] == [found[f"components_{share}"] for share in (90, 95, 99)]


def test_twonn_of_manifolds_is_the_peers(ours, theirs):
    """Each library searches by itself; our stored distances are float32."""
    for name, draws in ours.items():
        whole = twonn(draws[0])["id"] * (1 - 1 / len(draws[0].distances))
        assert theirs[name]["skdim mle"] == pytest.approx(whole, rel=1e-4), name
        assert theirs[name]["dadapy ml"] == pytest.approx(whole, rel=1e-4), name


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_manifolds_of_known_dimension(manifolds, ours, estimator):
    """The mean over draws is near the true dimension, or as biased as this estimator was measured to be."""
    assert len(manifolds) == 24
    wrong = {}
    for name, (dimension, _) in manifolds.items():
        off = 100 * (np.mean([estimator(draw)["id"] for draw in ours[name]]) / dimension - 1)
        bias = BIASES[name][ESTIMATORS.index(estimator)] if name in BIASES else 0
        if abs(off - bias) > (BAND if name in BIASES else NEAR):
            wrong[name] = (off, bias)
    assert not wrong
