"""Correlations and their intervals against SciPy's, and against data of known correlation."""

import numpy as np
import pandas as pd
import pytest
from actdim.tables import predictors
from actdim.tables.rows import same_setting
from scipy import stats

SCIPYS = {"pearson_r": stats.pearsonr, "spearman_r": stats.spearmanr, "kendall_tau": stats.kendalltau}


def gaussians(n, rho, seed=0):
    """Return two columns of n values with correlation rho."""
    x, noise = np.random.default_rng(seed).normal(size=(2, n))
    return pd.Series(x), pd.Series(rho * x + (1 - rho**2) ** 0.5 * noise)


def with_ties(n):
    """Return such columns with ties in both."""
    x, y = gaussians(n, 0.6)
    return x.round(0), y.round(1)


@pytest.mark.parametrize("columns", [gaussians(12, 0.6), with_ties(12), with_ties(40)], ids=["no ties", "ties", "40"])
def test_every_resample_as_scipy_has_it(columns):
    x, y = (column.to_numpy() for column in columns)
    counts = predictors.draw_resamples(len(x))[:200].astype(int)
    found = predictors.correlations_of_resamples(x, y, counts)
    for row, count in zip(found.T, counts, strict=True):
        drawn = np.repeat(np.arange(len(x)), count)
        expected = [test(x[drawn], y[drawn]).statistic for test in SCIPYS.values()]
        np.testing.assert_allclose(row, expected, atol=1e-12)


@pytest.mark.parametrize("columns", [gaussians(25, 0.7), with_ties(25)], ids=["no ties", "ties"])
@pytest.mark.parametrize("kind", SCIPYS)
def test_values_and_intervals_as_scipy_has_them(kind, columns):
    found = predictors.correlations(*columns)
    assert found["n"] == 25
    assert found[kind] == pytest.approx(SCIPYS[kind](*columns).statistic, abs=1e-12)
    interval = stats.bootstrap(
        columns,
        lambda x, y: SCIPYS[kind](x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    low, high = (found[name] for name in predictors.interval_names(kind))
    assert (low, high) == pytest.approx(tuple(interval), abs=0.04)
    assert -1 <= low < found[kind] < high <= 1


@pytest.mark.parametrize("rho", [0, 0.6])
def test_intervals_hold_the_true_correlation(rho):
    """For 30 runs, about as often as they claim."""
    true = {"pearson": rho, "spearman": 6 / np.pi * np.arcsin(rho / 2), "kendall": 2 / np.pi * np.arcsin(rho)}
    found = [predictors.correlations(*gaussians(30, rho, seed)) for seed in range(100)]
    for name, value in true.items():
        held = np.mean([one[f"{name}_low"] <= value <= one[f"{name}_high"] for one in found])
        assert 0.85 <= held <= 0.99, name


def test_few_unrelated_runs_seldom_have_an_interval_without_zero():
    found = [predictors.correlations(*gaussians(6, 0, seed)) for seed in range(200)]
    assert np.mean([one["spearman_low"] > 0 or one["spearman_high"] < 0 for one in found]) < 0.08


def test_constants_few_runs_and_missing_values():
    x, y = gaussians(8, 0.5)
    numbers = list(predictors.correlations(x, y))[2:]
    for few in (predictors.correlations(x[:2], y[:2]), predictors.correlations(x, 0 * y + 0.1)):
        assert all(few[name] is None for name in numbers)
    five = predictors.correlations(x[:5], y[:5])
    assert [name for name in numbers if five[name] is not None] == list(SCIPYS)
    x[[0, 1]] = [np.nan, np.inf]
    assert predictors.correlations(x, y) == predictors.correlations(x[2:], y[2:])


def test_resamples_of_one_value_are_left_out():
    """All runs but one are equal: resamples without that one have no correlation."""
    x, y = pd.Series([0.0] * 5 + [1.0]), pd.Series([0.0] * 5 + [1.0])
    found = predictors.correlations(x, y)
    assert (found["pearson_low"], found["kendall_high"]) == (pytest.approx(1), pytest.approx(1))


def test_intervals_resample_settings_with_their_seeds():
    """Ten seeds that repeat a setting add nothing: the interval is that of the settings alone."""
    x, y = gaussians(12, 0.5)
    alone = predictors.correlations(x, y)
    repeated = predictors.correlations(x.repeat(10), y.repeat(10), np.arange(12).repeat(10))
    assert (repeated["n"], repeated["n_settings"]) == (120, 12)
    for kind in SCIPYS:
        for end in predictors.interval_names(kind):
            assert repeated[end] == pytest.approx(alone[end], abs=1e-9), end


def test_two_seeds_of_unrelated_settings_seldom_have_an_interval_without_zero():
    """Resampling runs instead would exclude 0 in 20 % of these."""
    excluded = []
    for seed in range(200):
        x, y = (column.repeat(2) for column in gaussians(8, 0, seed))
        noise = np.random.default_rng(seed).normal(scale=0.1, size=(2, 16))
        found = predictors.correlations(x + noise[0], y + noise[1], np.arange(8).repeat(2))
        excluded.append(found["spearman_low"] > 0 or found["spearman_high"] < 0)
    assert np.mean(excluded) < 0.12


def test_settings_are_those_that_differ_in_more_than_the_seed():
    runs = pd.DataFrame({"study": "a", "lr": [1, 1, 2, None], "seed": [0, 1, 0, 0], "checkpoint": 1})
    assert list(same_setting(runs)) == [0, 0, 1, 2]
