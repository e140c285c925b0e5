"""Estimators against closed forms, other libraries, and data of known dimension."""

import numpy as np
import pytest
from actdim.estimators import NoEstimate, fit, relative_error_of_fit, twonn, twonn_fit
from scipy import stats
from sklearn.neighbors import NearestNeighbors


def neighbors(points, k=32):
    """Return (distances, indices) by scikit-learn, in float64."""
    return NearestNeighbors(n_neighbors=k).fit(points).kneighbors()


def pareto(n, d, seed=0):
    """Return distances (n, 2) whose ratios are independent and follow TwoNN's law exactly."""
    mu = np.random.default_rng(seed).pareto(d, n) + 1
    return np.stack([np.ones(n), mu], axis=1)


def test_twonn_is_scipys_maximum_likelihood():
    distances = pareto(500, 7.0)
    exponent, _, _ = stats.pareto.fit(distances[:, 1], floc=0, fscale=1)
    assert twonn(distances, None)["id"] == pytest.approx(exponent, rel=1e-9)


@pytest.mark.parametrize("fraction", [1.0, 0.9, 0.5])
def test_twonn_interval_covers_at_its_level(fraction):
    """Over 2,000 draws of the law itself, the exact 95 % interval holds the truth in 95 % (3 standard errors)."""
    draws = [twonn(pareto(100, 7.0, seed), None, fraction=fraction) for seed in range(2000)]
    covered = np.mean([draw["low"] <= 7.0 <= draw["high"] for draw in draws])
    assert abs(covered - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 2000)


def test_censored_twonn_ignores_how_large_the_highest_ratios_are():
    distances = pareto(1000, 7.0)
    wild = distances.copy()
    wild[np.argsort(wild[:, 1])[-50:], 1] *= 1e6
    assert twonn(wild, None, fraction=0.9)["id"] == pytest.approx(twonn(distances, None, fraction=0.9)["id"], rel=1e-12)
    assert twonn(wild, None)["id"] < 0.9 * twonn(distances, None)["id"]


@pytest.mark.parametrize("estimator", [twonn, twonn_fit])
@pytest.mark.parametrize("dimension", [1, 2, 5, 10])
def test_gaussians_of_known_dimension(estimator, dimension):
    """A linear image of a Gaussian in 50 dimensions keeps its dimension; TwoNN's known bias grows with it."""
    rng = np.random.default_rng(dimension)
    points = rng.normal(size=(3000, dimension)) @ np.linalg.qr(rng.normal(size=(50, dimension)))[0].T
    assert estimator(*neighbors(points))["id"] == pytest.approx(dimension, rel=0.12)


def test_sphere_and_swiss_roll():
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(3000, 8))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    angle, height = rng.uniform(5, 14, 3000), rng.uniform(0, 20, 3000)
    roll = np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], axis=1)
    assert twonn(*neighbors(sphere))["id"] == pytest.approx(7, rel=0.07)
    assert twonn(*neighbors(roll))["id"] == pytest.approx(2, rel=0.07)


def test_fit_is_numpys_least_squares():
    ratios = np.sort(np.log(pareto(500, 7.0)[:, 1]))
    y = -np.log(1 - np.arange(1, 451) / 500)
    slope = np.linalg.lstsq(ratios[:450, None], y, rcond=None)[0][0]
    assert fit(ratios, 0.9) == pytest.approx(slope, rel=1e-12)


def test_subsamples_from_lists_equal_new_searches():
    """The paper searches every subsample anew; the stored lists give the same numbers."""
    points = np.random.default_rng(0).normal(size=(400, 5))
    rng = np.random.default_rng(3)
    estimates = []
    for _ in range(20):
        distances, _ = neighbors(points[rng.choice(400, 360, replace=False)], k=2)
        ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
        x, y = ratios[:324], -np.log(1 - np.arange(1, 325) / 360)
        estimates.append((x @ y) / (x @ x))
    ours = twonn_fit(*neighbors(points), seed=3)
    # The order of the points in a subsample does not matter, only which they are.
    assert ours["id"] == pytest.approx(np.mean(estimates), rel=1e-9)
    assert ours["std"] == pytest.approx(np.std(estimates, ddof=1), rel=1e-6)


@pytest.mark.parametrize("fraction", [0.9, 0.5])
def test_error_of_the_fit_is_its_spread(fraction):
    """Over 2,000 draws of the law itself, the slope varies as the formula says (to 3 standard errors of a std)."""
    draws = [fit(np.sort(np.log(pareto(1000, 7.0, seed)[:, 1])), fraction) for seed in range(2000)]
    assert np.std(draws) / 7 == pytest.approx(relative_error_of_fit(1000, fraction), rel=3 / np.sqrt(2 * 2000))


def test_paper_interval_is_near_the_spread_of_new_data():
    """Over new draws of a Gaussian; the paper's own standard deviation is far below it."""
    draws = [twonn_fit(*neighbors(np.random.default_rng(seed).normal(size=(500, 3))), seed=seed) for seed in range(80)]
    spread = np.std([draw["id"] for draw in draws], ddof=1)
    half = np.mean([(draw["high"] - draw["low"]) / 2 for draw in draws])
    assert half / 1.96 == pytest.approx(spread, rel=0.3)
    assert np.mean([draw["std"] for draw in draws]) < 0.75 * spread


def test_duplicates_are_dropped_and_counted():
    points = np.random.default_rng(0).normal(size=(500, 4))
    with_copies = np.concatenate([points, points[:30]])
    estimate = twonn(*neighbors(with_copies))
    assert estimate["n_dropped"] == 60
    assert np.isfinite(estimate["id"])


@pytest.mark.parametrize("estimator", [twonn, twonn_fit])
@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.zeros((100, 3)), "0 usable points"),
        (np.arange(100.0)[:, None], "discrete"),
        (np.random.default_rng(0).normal(size=(8, 3)), "fewer than 10"),
    ],
)
def test_no_estimate_but_a_reason(estimator, points, reason):
    distances, indices = neighbors(points, k=min(32, len(points) - 1))
    with pytest.raises(NoEstimate, match=reason):
        estimator(distances, indices)


def test_ties_at_the_fraction_that_counts():
    distances = pareto(100, 5.0)
    distances[:45, 1] = 1
    assert twonn(distances, None)["id"] > 5
    with pytest.raises(NoEstimate, match="r1 = r2 at the lowest 40%"):
        twonn(distances, None, fraction=0.4)


def test_no_neighbors():
    with pytest.raises(NoEstimate, match="neighbors"):
        twonn(np.zeros((50, 0)), np.zeros((50, 0), dtype=int))
