"""Estimators against closed forms, other optimizers and data of known dimension; test_peers.py compares libraries."""

import itertools

import h5py
import numpy as np
import pytest
from actdim.estimators import gride, mle, pca, spectrum, twonn, twonn_fit
from actdim.estimators.ratios import MAX_TIES, NoEstimate
from actdim.neighbors import decimation
from actdim.neighbors.copies import find_distinct_neighbors
from actdim.neighbors.search import find_neighbors
from actdim.storage.neighbor_lists import NeighborLists
from scipy import optimize, stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

ESTIMATORS = {"twonn": twonn.twonn, "twonn_fit": twonn_fit.twonn_fit, "gride": gride.gride, "mle": mle.mle}
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


def lists(points, k=32):
    """Return the neighbors by scikit-learn, in float64."""
    return NeighborLists(*NearestNeighbors(n_neighbors=min(k, len(points) - 1)).fit(points).kneighbors(), {})


def of(distances):
    """Return NeighborLists with these distances, in which no point is a neighbor of another: they are independent."""
    return NeighborLists(distances, np.broadcast_to(np.arange(len(distances))[:, None], distances.shape), {})


def pareto(n, d, seed=0):
    """Return NeighborLists of two neighbors whose ratios are independent and follow TwoNN's law exactly."""
    mu = np.random.default_rng(seed).pareto(d, n) + 1
    return of(np.stack([np.ones(n), mu], axis=1))


def poisson(n, d, k, seed=0):
    """Return NeighborLists of k neighbors, independent between points: volumes r^d are sums of exponential spacings."""
    return of(np.random.default_rng(seed).exponential(size=(n, k)).cumsum(axis=1) ** (1 / d))


def gaussian(n, dimension, features, seed=0):
    """Return a linear image of a Gaussian, which keeps its dimension."""
    rng = np.random.default_rng([dimension, seed])
    return rng.normal(size=(n, dimension)) @ np.linalg.qr(rng.normal(size=(features, dimension)))[0].T


def share_held(draws, truth):
    """Return the share of intervals that contain the true value."""
    return np.mean([draw["low"] <= truth <= draw["high"] for draw in draws])


def sampling_error(share, draws):
    """Return three standard errors of a share."""
    return 3 * np.sqrt(share * (1 - share) / draws)


# Each law


def test_twonn_is_scipys_maximum_likelihood():
    drawn = pareto(500, 7.0)
    exponent, _, _ = stats.pareto.fit(drawn.distances[:, 1], floc=0, fscale=1)
    assert twonn.twonn(drawn)["id"] == pytest.approx(exponent, rel=1e-9)


@pytest.mark.parametrize("fraction", [1.0, 0.9, 0.5])
def test_twonn_interval_covers_at_its_level(fraction):
    """Over 2,000 draws of TwoNN's law, 95 % of the exact intervals contain the true value (to 3 standard errors)."""
    draws = [twonn.twonn(pareto(100, 7.0, seed), fraction=fraction) for seed in range(2000)]
    assert share_held(draws, 7.0) == pytest.approx(0.95, abs=sampling_error(0.95, 2000))


def test_censored_twonn_ignores_how_large_the_highest_ratios_are():
    drawn = pareto(1000, 7.0)
    wild = drawn.distances.copy()
    wild[np.argsort(wild[:, 1])[-50:], 1] *= 1e6
    censored, of_wild = (twonn.twonn(given, fraction=0.9)["id"] for given in (drawn, of(wild)))
    assert of_wild == pytest.approx(censored, rel=1e-12)
    assert twonn.twonn(of(wild))["id"] < 0.9 * twonn.twonn(drawn)["id"]


@pytest.mark.slow
@pytest.mark.parametrize("dimension", [2, 10])
def test_twonn_interval_counts_shared_neighbors(dimension):
    """Of intervals on points, 93 to 97 % contain the mean estimate; without the shared neighbors, 88 % do.

    Of 1,000 draws, with 3 standard errors of 2 percentage points."""
    drawn = [lists(np.random.default_rng([2, seed]).normal(size=(500, dimension)), k=2) for seed in range(1000)]
    counted = [twonn.twonn(points) for points in drawn]
    mean = np.mean([draw["id"] for draw in counted])
    assert share_held(counted, mean) == pytest.approx(0.95, abs=0.02 + sampling_error(0.95, 1000))
    independent = [twonn.twonn(of(points.distances)) for points in drawn]
    assert share_held(independent, mean) < 0.92
    assert [draw["id"] for draw in independent] == [draw["id"] for draw in counted]


@pytest.mark.parametrize("fraction", [1.0, 0.7])
def test_the_number_of_independent_points_by_plain_loops(fraction):
    """Also with points that are dropped, and lists longer than two."""
    points = lists(gaussian(200, 3, 5), k=6)
    points.distances[[4, 9], 0] = 0
    found = twonn.twonn(points, fraction=fraction)
    ratios = np.log(points.distances[:, 1] / np.where(points.distances[:, 0] > 0, points.distances[:, 0], np.nan))
    limit = sorted(ratios[np.isfinite(ratios)])[found["n_used"] - 1]
    scores = [0 if np.isnan(x) else (x <= limit) - found["id"] * min(x, limit) for x in ratios]
    both = 0
    for i, j in itertools.product(range(200), repeat=2):
        if i != j and (j in points.indices[i, :2] or i in points.indices[j, :2]):
            both += scores[i] * scores[j]
    assert both > 0
    assert found["n_independent"] == pytest.approx(found["n_used"] ** 2 / (found["n_used"] + both))


def test_slope_is_numpys_least_squares():
    ratios = np.sort(np.log(pareto(500, 7.0).distances[:, 1]))
    y = -np.log(1 - np.arange(1, 451) / 500)
    slope = np.linalg.lstsq(ratios[:450, None], y, rcond=None)[0][0]
    assert twonn_fit.slope(ratios, 0.9) == pytest.approx(slope, rel=1e-12)


def test_subsamples_from_lists_equal_new_searches():
    """The paper searches each subsample again; the stored lists give the same numbers."""
    points = np.random.default_rng(0).normal(size=(400, 5))
    rng = np.random.default_rng(3)
    estimates = []
    for _ in range(20):
        distances = lists(points[rng.choice(400, 360, replace=False)], k=2).distances
        ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
        x, y = ratios[:324], -np.log(1 - np.arange(1, 325) / 360)
        estimates.append((x @ y) / (x @ x))
    ours = twonn_fit.twonn_fit(lists(points), seed=3)
    # The order of the points in a subsample does not matter, only which they are.
    assert ours["id"] == pytest.approx(np.mean(estimates), rel=1e-9)
    assert ours["std"] == pytest.approx(np.std(estimates, ddof=1), rel=1e-6)


@pytest.mark.parametrize("fraction", [0.9, 0.5])
def test_error_of_the_slope_is_its_spread(fraction):
    """Over 2,000 draws of TwoNN's law, the slope varies as the formula says (within 3 standard errors of a std)."""
    ratios = [np.sort(np.log(pareto(1000, 7.0, seed).distances[:, 1])) for seed in range(2000)]
    spread = np.std([twonn_fit.slope(of_one, fraction) for of_one in ratios])
    assert spread / 7 == pytest.approx(twonn_fit.relative_error(1000, fraction), rel=3 / np.sqrt(2 * 2000))


def test_paper_interval_is_near_the_spread_of_new_data():
    """The spread is over new draws of a Gaussian; the paper's own standard deviation is far smaller."""
    drawn = [np.random.default_rng(seed).normal(size=(500, 3)) for seed in range(80)]
    draws = [twonn_fit.twonn_fit(lists(points), seed=seed) for seed, points in enumerate(drawn)]
    spread = np.std([draw["id"] for draw in draws], ddof=1)
    half = np.mean([(draw["high"] - draw["low"]) / 2 for draw in draws])
    assert half / 1.96 == pytest.approx(spread, rel=0.3)
    assert np.mean([draw["std"] for draw in draws]) < 0.75 * spread


def gride_log_likelihood(d, mu, n1):
    """Return the log-likelihood of Denti et al. (2022, eq. 5), up to a constant, as written there."""
    n2 = 2 * n1
    return np.sum(np.log(d) + (n2 - n1 - 1) * np.log(mu**d - 1) - ((n2 - 1) * d + 1) * np.log(mu))


@pytest.mark.parametrize("n1", [1, 2, 3, 8])
def test_gride_has_the_largest_likelihood(n1):
    drawn = poisson(1000, 6.0, 2 * n1)
    mu = drawn.distances[:, -1] / drawn.distances[:, n1 - 1]
    found = optimize.minimize_scalar(
        lambda d: -gride_log_likelihood(d, mu, n1) if n1 > 1 else -np.sum(np.log(d) - (d + 1) * np.log(mu)),
        bounds=(1, 50),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert gride.gride(drawn, n1=n1)["id"] == pytest.approx(found.x, rel=1e-6)


@pytest.mark.parametrize("n1", [1, 2, 8])
def test_gride_interval_covers_at_its_level(n1):
    """Over 1,000 draws of (r_n1 / r_2n1)^d ~ Beta(n1, n1), 95 % of the intervals contain the true value.

    Within 3 standard errors, with 1,000 points in each draw, because the interval is asymptotic."""
    rng = np.random.default_rng(n1)
    draws = []
    for _ in range(1000):
        distances = np.ones((1000, 2 * n1))
        distances[:, :n1] = rng.beta(n1, n1, size=(1000, 1)) ** (1 / 7.0)
        draws.append(gride.estimate_at_scale(distances, n1))
    assert share_held(draws, 7.0) == pytest.approx(0.95, abs=sampling_error(0.95, 1000))


def test_gride_of_the_first_two_neighbors_is_twonn():
    given = lists(gaussian(500, 4, 10))
    whole = twonn.twonn(given)
    chosen = gride.gride(given, n1=1)
    assert chosen["id"] == pytest.approx(whole["id"], rel=1e-9)
    assert chosen["high"] - chosen["id"] == pytest.approx(1.96 * whole["id"] / np.sqrt(500), rel=1e-4)


def test_gride_scales_double_as_far_as_the_lists_reach():
    given = lists(gaussian(500, 4, 10), k=30)
    scales = gride.gride(given, n1=3)["scales"]
    assert [(scale["n1"], scale["n2"]) for scale in scales] == [(1, 2), (2, 4), (3, 6), (4, 8), (8, 16)]
    for scale in scales:
        alone = gride.gride(given, n1=scale["n1"])
        assert all(alone[key] == scale[key] for key in ("id", "low", "high", "n_dropped"))
        assert scale["distance"] == pytest.approx(given.distances[:, scale["n2"] - 1].mean(), rel=1e-12)


def test_mle_is_its_formula():
    """The inverse of Levina and Bickel's m_k(x), averaged over points as MacKay and Ghahramani propose."""
    distances = lists(gaussian(300, 4, 10)).distances
    at_points = [1 / (sum(np.log(near[9] / near[j]) for j in range(9)) / 9) for near in distances]
    assert mle.mle(of(distances), k=10)["id"] == pytest.approx(1 / np.mean(1 / np.array(at_points)), rel=1e-12)


def test_mle_of_two_neighbors_is_twonn():
    """Also its interval, where points are independent; that of mle counts no shared neighbors."""
    given = of(lists(gaussian(500, 4, 10)).distances)
    ours, whole = mle.mle(given, k=2), twonn.twonn(given)
    assert [ours[key] for key in ("id", "low", "high")] == pytest.approx([whole[key] for key in ("id", "low", "high")])


@pytest.mark.parametrize("k", [2, 20])
def test_mle_interval_covers_at_its_level(k):
    """Over 2,000 draws of exponential spacings of volumes, 95 % of the exact intervals contain the true value."""
    draws = [mle.mle(poisson(50, 7.0, k, seed), k=k) for seed in range(2000)]
    assert share_held(draws, 7.0) == pytest.approx(0.95, abs=sampling_error(0.95, 2000))


# Data of known dimension


@every_estimator
@pytest.mark.parametrize("dimension", [1, 2, 5, 10])
def test_gaussians_of_known_dimension(estimator, dimension):
    """The points have 50 features; the known bias grows with the dimension."""
    points = gaussian(3000, dimension, 50)
    assert estimator(lists(points))["id"] == pytest.approx(dimension, rel=0.06 if dimension < 10 else 0.12)


@every_estimator
def test_sphere_and_swiss_roll(estimator):
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(3000, 8))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    angle, height = rng.uniform(5, 14, 3000), rng.uniform(0, 20, 3000)
    roll = np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], axis=1)
    assert estimator(lists(sphere))["id"] == pytest.approx(7, rel=0.07)
    assert estimator(lists(roll))["id"] == pytest.approx(2, rel=0.07)


# Fewer points


def decimated_lists(points):
    """Return the NeighborLists of points as a run makes them, with the lists of fewer points."""
    indices, distances, _ = find_neighbors(points, "exact", 32)
    return NeighborLists(distances, indices, decimation.decimate(points, indices, distances))


@pytest.mark.parametrize("estimator", [twonn.twonn, twonn_fit.twonn_fit], ids=["twonn", "twonn_fit"])
def test_fewer_points_of_a_clean_manifold_have_the_same_dimension(estimator):
    """The estimates equal those of scikit-learn's searches of the same subsets, and the intervals overlap."""
    points = gaussian(4000, 3, 20)
    result = estimator(decimated_lists(points))
    order = np.random.default_rng(0).permutation(4000)
    assert [of_part["points"] for of_part in result["decimated"]] == [2000, 1000, 500]
    for of_part in result["decimated"]:
        distances = lists(points[np.sort(order[: of_part["points"]])], k=2).distances
        anew = (
            twonn.maximize_likelihood(distances, 1.0, shared=result["n_independent"] / 4000)
            if estimator is twonn.twonn
            else twonn_fit.fit_all_points(distances, 0.9)
        )
        assert [of_part[key] for key in ("id", "low", "high")] == pytest.approx(
            [anew[key] for key in ("id", "low", "high")], rel=1e-5
        )
        assert of_part["low"] < result["high"]
        assert of_part["high"] > result["low"]
        assert of_part["id"] == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("estimator", [twonn.twonn, twonn_fit.twonn_fit], ids=["twonn", "twonn_fit"])
def test_fewer_points_of_a_noisy_manifold_have_a_lower_dimension(estimator):
    """Noise in 20 features, as large as neighbors' distances, matters less where neighbors are farther apart."""
    noise = 0.03 * np.random.default_rng(1).normal(size=(4000, 20))
    result = estimator(decimated_lists(gaussian(4000, 2, 20) + noise))
    ids = [result["id"], *(of_part["id"] for of_part in result["decimated"])]
    assert ids == sorted(ids, reverse=True)
    assert result["low"] > result["decimated"][-1]["high"]


def test_too_few_points_to_decimate():
    result = twonn.twonn(decimated_lists(gaussian(40, 2, 5)))
    assert [of_part["points"] for of_part in result["decimated"]] == [20, 10, 5]
    assert result["decimated"][-1] == {"points": 5, "id": None, "low": None, "high": None}


# No estimate


@every_estimator
@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.zeros((100, 3)), "0 usable points"),
        (np.repeat(np.random.default_rng(0).normal(size=(20, 3)), 30, axis=0), "0 usable points"),
        (np.eye(100), "discrete"),
        (np.random.default_rng(0).normal(size=(8, 3)), "fewer than"),
    ],
    ids=["constant", "copies", "equally far", "few"],
)
def test_no_estimate_but_a_reason(estimator, points, reason):
    with pytest.raises(NoEstimate, match=reason):
        estimator(lists(points))


@every_estimator
@pytest.mark.parametrize(
    "points",
    [
        np.arange(100.0)[:, None],
        np.round(2 * np.random.default_rng(0).normal(size=(2000, 4))) / 2,
        np.random.default_rng(0).integers(2, size=(2000, 64)).astype(float),
    ],
    ids=["a line of integers", "a Gaussian rounded to steps of 0.5", "random bits"],
)
def test_discrete_data_have_no_estimate(estimator, points):
    points = np.unique(points, axis=0)  # as the workflow searches
    with pytest.raises(NoEstimate, match=r"r1 = r2 at \d+ of \d+ points: the data are discrete"):
        estimator(lists(points))


@every_estimator
def test_float32_and_float16_do_not_make_continuous_data_discrete(estimator):
    for kind in (np.float32, np.float16):
        assert estimator(lists(gaussian(2000, 10, 64).astype(kind)))["id"] == pytest.approx(9.5, rel=0.1)


def digits(levels):
    """Return scikit-learn's images of digits, 64 pixels, with so many gray levels."""
    return np.round(load_digits().data / 16 * (levels - 1))


DISCRETE = {
    "a Gaussian rounded to steps of 0.5": np.round(2 * np.random.default_rng(0).normal(size=(1800, 4))) / 2,
    "random bits": np.random.default_rng(0).integers(2, size=(1800, 64)).astype(float),
    "black and white images": digits(2),
    "images of four gray levels": digits(4),
    "images of nine gray levels": digits(9),
}


@pytest.mark.parametrize("share", [1, 2, 4])
@pytest.mark.parametrize("method", ["exact", "pynndescent"])
@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_data_are_found_by_each_search_at_each_size(name, method, share):
    points = DISCRETE[name][::share]
    _, points, indices, distances, _ = find_distinct_neighbors(points, method, 32)
    found = NeighborLists(distances, indices, decimation.decimate(points, indices, distances))
    for estimator in ESTIMATORS.values():
        with pytest.raises(NoEstimate, match="the data are discrete"):
            estimator(found)


@pytest.mark.parametrize("d", [1, 2, 5, 10, 20, 50])
@pytest.mark.parametrize(
    ("n", "features"), [(500, 300), (2000, 300), pytest.param(10_000, 1100, marks=pytest.mark.slow)]
)
def test_float16_makes_no_continuous_layer_discrete(n, features, d):
    """Ties stay below a fifth of the limit; without rounding they would be d 2^-23 of the points. Few become copies."""
    if (n, d) == (10_000, 1):
        pytest.skip("float16 moves these neighbors past each other, so such a layer is float32")
    points = gaussian(n, d, features).astype(np.float16)
    _, _, _, distances, report = find_distinct_neighbors(points, "exact", 2)
    assert report["n_copies"] <= (n / 1000 if d == 1 else 0)
    assert np.count_nonzero(distances[:, 0] == distances[:, 1]) <= MAX_TIES * n / 5


@pytest.mark.parametrize("n1", [1, 2])
def test_gride_of_few_points(n1):
    with pytest.raises(NoEstimate, match="8 usable points, fewer than 10"):
        gride.gride(lists(gaussian(8, 2, 3)), n1=n1)


@pytest.mark.parametrize(
    ("estimator", "settings", "reason"),
    [
        (gride.gride, {"n1": 6}, "lists of 10 neighbors, fewer than 2 n1 = 12"),
        (mle.mle, {"k": 11}, "lists of 10 neighbors, fewer than k = 11"),
    ],
    ids=["gride", "mle"],
)
def test_lists_that_do_not_reach(estimator, settings, reason):
    with pytest.raises(NoEstimate, match=reason):
        estimator(lists(gaussian(100, 2, 3), k=10), **settings)


@every_estimator
def test_points_that_have_no_neighbors(estimator):
    """What the search leaves for a layer with a value that is not finite."""
    points = gaussian(50, 2, 3)
    points[3, 1] = np.nan
    indices, distances, report = find_neighbors(points, "exact", 32)
    assert report["reason"] == "1 of 50 points are not finite"
    with pytest.raises(NoEstimate, match="neighbors"):
        estimator(NeighborLists(distances, indices, {}))


# Principal components


SHAPES = {"tall": (500, 40), "wide": (60, 400), "square": (80, 80)}


def components(points):
    """Return the expected result of pca, by scikit-learn in float64."""
    variances = PCA(svd_solver="full").fit(points.astype(np.float64)).explained_variance_
    held = np.cumsum(variances) / variances.sum()
    counts = {f"components_{percent}": int(np.sum(held < percent / 100)) + 1 for percent in (90, 95, 99)}
    singular = np.linalg.svd(points.astype(np.float64), compute_uv=False)
    shares = singular / singular.sum()
    return {
        **{"id": variances.sum() ** 2 / (variances**2).sum(), "n_dropped": 0, **counts},
        **{"stable_rank": variances.sum() / variances[0], "rankme": np.exp(-(shares * np.log(shares)).sum())},
    }


def compared(result):
    """Return what components gives of a result, whose interval is empty."""
    assert [result["low"], result["high"]] == [None, None]
    return {key: result[key] for key in ("id", "n_dropped", *COMPONENTS, "stable_rank", "rankme")}


COMPONENTS = [f"components_{percent}" for percent in (90, 95, 99)]


def mixed(shape, dtype):
    """Return points with different variances and a mean that is not 0."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape) * rng.exponential(size=shape[1]) + 3).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_pca_is_scikit_learns(shape, dtype):
    """Ours sums products in float32."""
    points = mixed(shape, dtype)
    assert compared(pca.pca(points)) == pytest.approx(components(points), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_pca_of_a_stored_layer_in_chunks(shape, tmp_path, monkeypatch):
    """An HDF5 data set that is read seven rows or columns at a time."""
    monkeypatch.setattr(pca, "CHUNK_BYTES", 7 * (4 if shape[0] < shape[1] else 8) * min(shape))
    points = mixed(shape, np.float16)
    with h5py.File(tmp_path / "layer.h5", "w") as file:
        file["x"] = points
        assert compared(pca.pca(file["x"])) == pytest.approx(components(points), rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_pca_of_a_subspace_counts_its_dimensions(shape):
    """Three equal orthogonal components have a participation ratio of 3 and all the variance."""
    rng = np.random.default_rng(0)
    scores = np.linalg.qr(rng.normal(size=(shape[0], 3)) - rng.normal(size=3))[0]
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0]
    result = pca.pca(scores @ np.linalg.qr(rng.normal(size=(shape[1], 3)))[0].T)
    assert result["id"] == pytest.approx(3, rel=1e-5)
    assert [result[f"components_{share}"] for share in (90, 95, 99)] == [3, 3, 3]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_effective_dimensions_of_a_subspace(shape):
    """d equal orthogonal components about 0: stable rank and RankMe are d. The power law has too few of them."""
    rng = np.random.default_rng(0)
    scores = np.linalg.qr(rng.normal(size=(shape[0], 5)))[0]
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0]
    result = pca.pca(scores @ np.linalg.qr(rng.normal(size=(shape[1], 5)))[0].T)
    assert [result["stable_rank"], result["rankme"]] == pytest.approx([5, 5], rel=0.01)
    assert result["alpha_req"] is None
    assert result["undefined"] == {"alpha_req": "5 eigenvalues, fewer than 20"}
    assert result["eigenvalues"][:5] == pytest.approx([1 / (shape[0] - 1)] * 5, rel=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 1, 2.5])
def test_the_exponent_of_a_power_law(alpha):
    """Exact from its 11th eigenvalue on, whatever the first ten."""
    variances = np.arange(1.0, 701) ** -alpha
    variances[:10] *= 3
    variances[500:] = 1e-30
    assert spectrum.alpha_req(variances) == pytest.approx(alpha)
    assert spectrum.alpha_req(np.where(np.arange(700) < 60, variances, 0)) == pytest.approx(alpha)


@pytest.mark.parametrize("shape", [(7, 3), (6, 9)], ids=["tall", "wide"])
def test_unbiased_participation_ratio_is_that_of_all_quadruples(shape):
    """The mean over all four different points of products of their differences, whose expectations are exact."""
    points = np.random.default_rng(0).exponential(size=shape)
    traces, squares = [], []
    for i, j, k, m in itertools.permutations(range(len(points)), 4):
        first, second = points[i] - points[j], points[k] - points[m]
        traces.append((first @ first) * (second @ second) / 4)
        squares.append((first @ second) ** 2 / 4)
    expected = np.mean(traces) / np.mean(squares)
    assert pca.pca(points)["unbiased_participation_ratio"] == pytest.approx(expected, rel=1e-5)


def test_unbiased_participation_ratio_of_few_points():
    """The plain one of 40 points in 100 equal dimensions, not normally distributed, is near 40."""
    rng = np.random.default_rng(0)
    results = [pca.pca(rng.exponential(size=(40, 100))) for _ in range(50)]
    assert np.mean([result["id"] for result in results]) < 35
    assert np.median([result["unbiased_participation_ratio"] for result in results]) == pytest.approx(100, rel=0.1)
    assert "unbiased_participation_ratio" in pca.pca(rng.normal(size=(3, 2)))["undefined"]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pca_of_a_constant_layer(shape, dtype):
    """Every type rounds 0.1; the rounding must not count as variance."""
    with pytest.raises(NoEstimate, match="all points are the same"):
        pca.pca(np.full(shape, 0.1, dtype=dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.filterwarnings("error")
def test_pca_of_values_without_products(shape, value):
    points = mixed(shape, np.float32)
    points[3, 5] = value
    with pytest.raises(NoEstimate, match="not finite, or too large for float32"):
        pca.pca(points)
