"""Statistics of generalization measures, against plain definitions, another library, and grids of known answers."""

import math
import runpy
from itertools import combinations, product

import mbe_eval
import numpy as np
import pandas as pd
import pytest
from actdim.tables.generalization import intervals
from actdim.tables.generalization.columns import check_runs, tell_columns
from actdim.tables.generalization.correlations import (
    partial_spearman_given,
    partial_spearman_given_settings,
    spearman,
    weighted_ranks,
)
from actdim.tables.generalization.gain import PENALTIES, cross_fitted_gain, settings_design
from actdim.tables.generalization.granulated import granulated_kendall
from actdim.tables.generalization.grid import make_grid
from actdim.tables.generalization.information import conditional_information
from actdim.tables.generalization.judgment import judge
from actdim.tables.generalization.pairs import dense_ranks
from actdim.tables.generalization.sign_errors import sign_errors
from actdim.tables.generalization.table import Options, generalization_tables
from conftest import ROOT
from scipy import stats

LR, WIDTH, NORM = [0.1, 0.01, 0.001], [16, 32], ["none", "batch", "layer"]


def runs_of(seeds=2, seed=0, **axes):
    """Return a table of runs of a full grid: a gap between 0 and 1 and a measure that follows it with noise."""
    axes = axes or {"lr": LR, "width": WIDTH, "norm": NORM}
    rows = [dict(zip([*axes, "seed"], cell, strict=True)) for cell in product(*axes.values(), range(seeds))]
    runs = pd.DataFrame(rows).assign(study="made")
    rng = np.random.default_rng(seed)
    effects = sum(
        rng.normal(size=len(values))[[values.index(cell) for cell in runs[axis]]] for axis, values in axes.items()
    )
    runs["gap"] = 1 / (1 + np.exp(-effects - 0.3 * rng.normal(size=len(runs))))
    runs["measure"] = runs["gap"] + 0.1 * rng.normal(size=len(runs))
    return runs


def with_ties(runs):
    return runs.assign(gap=runs["gap"].round(1), measure=runs["measure"].round(1))


def with_holes(runs):
    return runs[np.random.default_rng(3).random(len(runs)) < 0.7].reset_index(drop=True)


TABLES = {
    "full": runs_of(),
    "ties": with_ties(runs_of(seeds=1)),
    "holes": with_holes(runs_of(seeds=3)),
    "one axis": runs_of(lr=[0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5]),
    "two axes, ties": with_ties(with_holes(runs_of(lr=LR, depth=[1, 2, 3, 4]))),
}
tables = pytest.mark.parametrize("runs", TABLES.values(), ids=TABLES)


def settings_of(runs):
    return [name for name in runs if name in ("lr", "width", "norm", "depth")]


def grid_of(runs, resamples=5):
    return make_grid(runs, settings_of(runs), resamples)


def drawn(grid, runs):
    """Yield for each draw (index, count of each setting, mean measure and gap of each setting), in plain loops."""
    for draw in range(grid.setting_counts.shape[1]):
        counts, means = [], []
        for setting in range(len(grid.levels)):
            members = [run for run in range(len(runs)) if grid.setting[run] == setting]
            times = [int(grid.run_counts[run, draw]) for run in members]
            assert sum(times) == len(members)
            values = [
                [runs[name].iloc[run] for run, n in zip(members, times, strict=True) for _ in range(n)]
                for name in ("measure", "gap")
            ]
            means.append([math.fsum(of_runs) / len(of_runs) for of_runs in values])
            counts.append(int(grid.setting_counts[setting, draw]))
        yield draw, counts, [x for x, _ in means], [y for _, y in means]


def order(a, b):
    return 0 if math.isclose(a, b, rel_tol=1e-12) else 1 if a > b else -1


def differing(grid, a, b):
    return [axis for axis in range(len(grid.axes)) if grid.levels[a, axis] != grid.levels[b, axis]]


def plain_psi(grid, axis, counts, x, y):
    cells = {}
    for a, b in combinations(range(len(counts)), 2):
        if differing(grid, a, b) == [axis] and counts[a] * counts[b]:
            rest = tuple(np.delete(grid.levels[a], axis))
            cells.setdefault(rest, []).append((counts[a] * counts[b], order(x[a], x[b]) * order(y[a], y[b])))
    taus = [sum(n * sign for n, sign in pairs) / sum(n for n, _ in pairs) for pairs in cells.values()]
    return math.fsum(taus) / len(taus) if taus else math.nan


def plain_information(grid, axes, counts, x, y):
    """Count every ordered pair of different settings; a pair tied in x is half of each order."""
    table = {}
    for a, b in product(range(len(counts)), repeat=2):
        if a == b or not order(y[a], y[b]):
            continue
        given = (tuple(grid.levels[a, list(axes)]), tuple(grid.levels[b, list(axes)]))
        signs = [order(x[a], x[b])] if order(x[a], x[b]) else [-1, 1]
        for sign in signs:
            key = (given, order(y[a], y[b]), sign)
            table[key] = table.get(key, 0) + counts[a] * counts[b] / len(signs)
    total = sum(table.values())

    def entropy(*parts):
        sums = {}
        for key, n in table.items():
            kept = tuple(key[part] for part in parts)
            sums[kept] = sums.get(kept, 0) + n / total
        return -math.fsum(p * math.log(p) for p in sums.values() if p)

    if not total or entropy(0, 1) - entropy(0) < 1e-9:
        return math.nan
    information = entropy(0, 1) + entropy(0, 2) - entropy(0, 1, 2) - entropy(0)
    return information / (entropy(0, 1) - entropy(0))


@tables
def test_granulated_kendall_in_every_draw(runs):
    grid = grid_of(runs)
    found = granulated_kendall(grid, *(grid.ranks(runs[name].to_numpy()) for name in ("measure", "gap")))
    for draw, counts, x, y in drawn(grid, runs):
        expected = [plain_psi(grid, axis, counts, x, y) for axis in range(len(grid.axes))]
        np.testing.assert_allclose(found[:, draw], expected, atol=1e-6)


@tables
def test_conditional_information_in_every_draw(runs):
    grid = grid_of(runs)
    sets, found = conditional_information(grid, *(grid.ranks(runs[name].to_numpy()) for name in ("measure", "gap")))
    assert len(sets) == sum(math.comb(len(grid.axes), size) for size in (0, 1, 2))
    for draw, counts, x, y in drawn(grid, runs):
        expected = [plain_information(grid, axes, counts, x, y) for axes in sets]
        np.testing.assert_allclose(found[:, draw], expected, atol=1e-9)


@pytest.mark.parametrize("environments", ["values", "settings"])
@pytest.mark.parametrize("test_samples", [None, 400])
@tables
def test_sign_errors_in_every_draw(runs, test_samples, environments, monkeypatch):
    monkeypatch.setattr("actdim.tables.generalization.sign_errors.FEWEST_PAIRS", 1.5)
    grid = grid_of(runs)
    found = sign_errors(grid, runs["measure"].to_numpy(), runs["gap"].to_numpy(), test_samples, environments)
    for draw in range(6):
        pairs = {}
        for a, b in combinations(range(len(runs)), 2):
            differ = differing(grid, grid.setting[a], grid.setting[b])
            if len(differ) != 1:
                continue
            ends = tuple(sorted(grid.levels[grid.setting[run], differ[0]] for run in (a, b)))
            rest = [-1] * len(grid.axes)
            if environments == "settings":
                rest = list(grid.levels[grid.setting[a]])
                rest[differ[0]] = -1
            gap = abs(runs["gap"].iloc[a] - runs["gap"].iloc[b])
            weight = float(gap > 0)
            if test_samples:
                weight = max(0, max(0, 1 - 2 * math.exp(-2 * test_samples * (gap / 2) ** 2)) ** 2 - 0.5)
            times = math.prod(
                grid.setting_counts[grid.setting[run], draw] * grid.run_counts[run, draw] for run in (a, b)
            )
            error = (1 - order(*runs["measure"].iloc[[a, b]]) * order(*runs["gap"].iloc[[a, b]])) / 2
            pairs.setdefault((differ[0], *ends, *rest), []).append((weight, times, error))
        expected, effective = {}, {}
        for key, terms in sorted(pairs.items()):
            squares = sum(weight**2 for weight, _, _ in terms)
            effective[key] = sum(weight for weight, _, _ in terms) ** 2 / squares if squares else 0
            if effective[key] >= 1.5:
                total = sum(weight * times for weight, times, _ in terms)
                wrong = sum(weight * times * error for weight, times, error in terms)
                expected[key] = wrong / total if total else math.nan
        keys = list(zip(found.axis, *found.ends.T, *found.rest.T, strict=True))
        assert keys == list(expected)
        np.testing.assert_allclose(found.pairs, [effective[key] for key in keys])
        np.testing.assert_allclose(found.errors[:, draw], list(expected.values()), atol=1e-9)


def test_sign_errors_of_a_measure_that_goes_against_the_target():
    runs = runs_of()
    with_it, against = (
        sign_errors(grid_of(runs), sign * runs["measure"].to_numpy(), runs["gap"].to_numpy()) for sign in (1, -1)
    )
    assert (with_it.direction, against.direction) == (1, -1)
    np.testing.assert_allclose(with_it.errors, against.errors, atol=1e-12)
    assert with_it.errors[:, 0].mean() < 0.3


def plain_partial(counts, x, y, controls):
    """Write every setting as often as it counts, rank, and take the controls out by least squares."""
    rows = np.repeat(np.arange(len(counts)), counts)
    design = controls[rows]
    left = [
        ranks - design @ np.linalg.lstsq(design, ranks)[0]
        for ranks in (stats.rankdata(values[rows]) for values in (x, y))
    ]
    free = len(set(rows)) - np.linalg.matrix_rank(design)
    if free < 3 or min(np.abs(one).max() for one in left) < 1e-6:
        return math.nan
    return stats.pearsonr(*left).statistic


@tables
def test_rank_correlations_in_every_draw(runs):
    grid = grid_of(runs)
    x, y = (grid.ranks(runs[name].to_numpy()) for name in ("measure", "gap"))
    loss = grid.ranks(np.random.default_rng(5).random(len(runs)))
    levels = pd.DataFrame(grid.levels).astype(str)
    dummies = np.column_stack([np.ones(len(levels)), pd.get_dummies(levels, drop_first=True).to_numpy(float)])
    plain, settings, given = spearman(grid, x, y), partial_spearman_given_settings(grid, x, y), None
    given = partial_spearman_given(grid, x, y, loss)
    for draw, counts, *_ in drawn(grid, runs):
        of_draw = counts, x[:, draw], y[:, draw]
        constant = np.ones((len(levels), 1))
        assert plain[draw] == pytest.approx(plain_partial(*of_draw, constant), abs=1e-9, nan_ok=True)
        assert settings[draw] == pytest.approx(plain_partial(*of_draw, dummies), abs=1e-9, nan_ok=True)
        ranks = np.repeat(np.arange(len(counts)), counts)
        covariate = np.zeros(len(counts))
        covariate[ranks] = stats.rankdata(loss[ranks, draw])
        controls = np.column_stack([constant, covariate])
        assert given[draw] == pytest.approx(plain_partial(*of_draw, controls), abs=1e-9, nan_ok=True)


def test_ranks_of_repeated_and_tied_values():
    values = np.array([[0.1 + 0.2, 5.0, 0.3, -1.0, 1e20]]).T
    assert dense_ranks(values).T.tolist() == [[1, 2, 1, 0, 3]]
    expanded = stats.rankdata([0.3, 0.3, 5, 0.3, -1, -1, -1])
    expected = (expanded - expanded.mean())[[0, 2, 3, 4]]
    counts = np.array([[2.0, 1.0, 1.0, 3.0, 0.0]]).T
    np.testing.assert_allclose(weighted_ranks(dense_ranks(values), counts)[:4, 0], expected)


@tables
def test_gain_refits_without_each_setting_in_every_draw(runs):
    grid = grid_of(runs)
    x, y = (grid.ranks(runs[name].to_numpy()) for name in ("measure", "gap"))
    found, design = cross_fitted_gain(grid, x, y), settings_design(grid)

    def left_out(target, counts, penalty):
        """Return the error of each drawn setting under a model of the others."""
        errors = np.zeros(len(counts))
        for out in np.flatnonzero(counts):
            kept = np.repeat(np.arange(len(counts)), np.where(np.arange(len(counts)) == out, 0, counts))
            sizes = np.full(design.shape[1], penalty**0.5)
            sizes[0] = 0
            stacked = np.concatenate([design[kept], np.diag(sizes)])
            fit = np.linalg.lstsq(stacked, np.concatenate([target[kept], np.zeros(len(sizes))]))[0]
            errors[out] = target[out] - design[out] @ fit
        return errors

    def ranks(values, counts):
        expanded = np.repeat(np.arange(len(counts)), counts)
        ranked = np.zeros(len(counts))
        ranked[expanded] = (stats.rankdata(values[expanded]) - (len(expanded) + 1) / 2) * 12**0.5 / len(expanded)
        return ranked

    penalty = None
    for draw, counts, *_ in drawn(grid, runs):
        counts = np.array(counts)
        target, measure = ranks(y[:, draw], counts), ranks(x[:, draw], counts)
        penalty = penalty or min(PENALTIES, key=lambda size: (left_out(target, counts, size) ** 2).sum())
        target, measure = (left_out(values, counts, penalty) for values in (target, measure))
        together = 0
        for out in np.flatnonzero(counts):
            others = np.where(np.arange(len(counts)) == out, 0, counts)
            slope = (others * measure * target).sum() / (others * measure**2).sum()
            together += counts[out] * (target[out] - slope * measure[out]) ** 2
        assert found[draw] == pytest.approx(1 - together / (counts * target**2).sum(), abs=1e-5)


def test_statistics_depend_on_no_order_of_values():
    """Other names of the values of each axis, in another order, give the same statistics."""
    runs = with_holes(runs_of(seeds=3))
    names = {"none": "z", "batch": "y", "layer": "x"}
    renamed = runs.assign(lr=-runs["lr"], width=1 / runs["width"], norm=runs["norm"].map(names))
    first, second = only_row(runs), only_row(renamed)
    for statistic in ("spearman", "psi", "cmi", "sign_error_max", "partial_spearman", "gain"):
        assert second[statistic] == pytest.approx(first[statistic], rel=1e-6)


def test_the_set_of_least_information_is_not_chosen_by_rounding():
    """The measure reflects lr: given lr, no other axis takes away more, though the rounding errors differ."""
    for seed in range(10):
        runs = with_holes(runs_of(seeds=1, seed=seed))
        assert only_row(runs.assign(measure=runs["lr"]))["cmi_given"] == "lr"


def as_configurations(runs):
    """Return the runs with their setting as one column, as mbe_eval wants them, and axes as text."""
    axes = settings_of(runs)
    return runs.assign(
        configuration=runs.groupby(axes, sort=False).ngroup().astype(str), **{a: runs[a].astype(str) for a in axes}
    )


@pytest.mark.parametrize("runs", [TABLES["full"], TABLES["holes"], TABLES["one axis"]], ids=["full", "holes", "one"])
def test_statistics_of_settings_as_mbe_eval_has_them(runs):
    """Without ties, on which definitions differ."""
    axes, grid, same = settings_of(runs), grid_of(runs), as_configurations(runs)
    x, y = (grid.ranks(runs[name].to_numpy()) for name in ("measure", "gap"))
    psi = granulated_kendall(grid, x, y)[:, 0]
    expected, detail = mbe_eval.granulated_kendall(same, "measure", "gap", axes, group_col="configuration")
    np.testing.assert_allclose(psi, detail["granulated_kendall"], atol=1e-6)
    assert psi.mean() == pytest.approx(expected, abs=1e-6)
    sets, information = conditional_information(grid, x, y)
    smallest, detail = mbe_eval.jiang_normalized_cmi(same, "measure", "gap", axes, group_col="configuration")
    assert ["none" if not axes_given else ",".join(grid.axes[axis] for axis in axes_given) for axes_given in sets] == (
        detail["conditioning"].tolist()
    )
    np.testing.assert_allclose(information[:, 0], detail["normalized_cmi"], atol=1e-9)
    assert np.nanmin(information[:, 0]) == pytest.approx(smallest)
    of_settings = same.groupby("configuration", as_index=False).agg(
        {"measure": "mean", "gap": "mean", **dict.fromkeys(axes, "first")}
    )
    partial, _, n_settings = mbe_eval.partial_rank_corr(of_settings, "measure", "gap", axes)
    if len(axes) > 1:  # with one, every setting has a level of its own
        assert partial_spearman_given_settings(grid, x, y)[0] == pytest.approx(partial)
    assert spearman(grid, x, y)[0] == pytest.approx(mbe_eval.spearman_corr(of_settings, "measure", "gap")[0])
    detectable = mbe_eval.minimum_detectable_correlation(n_settings)
    assert intervals.smallest_correlation(n_settings) == pytest.approx(detectable)


def test_sign_errors_as_mbe_eval_has_them():
    """Which lists each environment in both directions, and takes runs of two settings as one."""
    runs = runs_of(seeds=5)
    found = sign_errors(grid_of(runs), runs["measure"].to_numpy(), runs["gap"].to_numpy(), 900, "settings")
    same = as_configurations(runs)
    expected = mbe_eval.robust_sign_error_environments(
        same, ["measure"], settings_of(runs), target="gap", config_column="configuration", test_size=900
    )
    assert 2 * len(found.axis) == len(expected) > 20
    np.testing.assert_allclose(np.sort(np.repeat(found.errors[:, 0], 2)), np.sort(expected["measure"]), atol=1e-9)
    np.testing.assert_allclose(np.sort(np.repeat(found.pairs, 2)), np.sort(expected["effective_sample_size"]))
    row = judge(grid_of(runs), *(runs[name].to_numpy() for name in ("measure", "gap", "gap")), 900, "settings").row
    summary = mbe_eval.robust_sign_error_summary(expected, ["measure"]).iloc[0]
    for name in ("mean", "p90", "max"):
        assert row[f"sign_error_{name}"] == pytest.approx(
            summary[f"{name}_sign_error"], abs=0.02 if name == "p90" else 1e-9
        )


def test_gain_is_about_that_of_mbe_eval():
    """Whose folds and polynomials are others."""
    runs = runs_of(seeds=1, lr=[0.3, 0.1, 0.03, 0.01], width=[16, 32, 64], norm=NORM, depth=[1, 2, 3])
    rng = np.random.default_rng(2)
    for noise in (0.03, 0.1, 10):
        runs["measure"] = runs["gap"] + noise * rng.normal(size=len(runs))
        grid = grid_of(runs)
        found = cross_fitted_gain(grid, *(grid.ranks(runs[name].to_numpy()) for name in ("measure", "gap")))[0]
        audits = mbe_eval.repeated_cross_fitted_audit(runs, "measure", "gap", settings_of(runs), repeats=5, n_splits=9)
        assert found == pytest.approx(audits["relative_mse_improvement"].mean(), abs=0.2)
        assert (found > 0.1) == (noise < 1)


def judged(runs, measures=("measure",), resamples=300, **options):
    """Return the Tables of made-up runs."""
    columns = tell_columns(runs, settings_of(runs), list(measures), ["gap"])
    return generalization_tables(check_runs(runs, columns), columns, {"made": Options(resamples=resamples, **options)})


def only_row(runs, **options):
    """Return the row of the one measure of made-up runs."""
    return judged(runs, **options).generalization.iloc[0]


def test_a_measure_that_only_reflects_a_hyperparameter():
    runs = runs_of(seeds=3)
    runs["gap"] = np.log10(runs["lr"]) + 0.3 * runs["gap"]
    runs["measure"] = runs["lr"] ** 3
    row = only_row(runs)
    assert row["spearman"] > 0.9
    assert row["spearman_low"] > 0.5
    assert (row["cmi"], row["cmi_high"], row["cmi_given"]) == (0, 0, "lr")
    assert row["psi"] == pytest.approx(1 / 3)  # 1 along lr, 0 along the two others
    assert np.isnan(row["partial_spearman"])
    assert "partial_spearman" in row["reason"]
    assert row["gain"] < 0.02
    axes = judged(runs).axes.set_index("axis")["psi"]
    assert axes.to_dict() == {"lr": 1, "width": 0, "norm": 0}


def test_a_measure_that_is_the_target_with_little_noise():
    runs = runs_of(seeds=3)
    runs["measure"] = runs["gap"] + 0.003 * np.random.default_rng(1).normal(size=len(runs))
    row = only_row(runs)
    assert min(row["psi"], row["spearman"], row["partial_spearman"]) > 0.9
    assert row["cmi"] > 0.8
    assert row["gain"] > 0.5
    assert row["sign_error_max"] < 0.1
    for statistic in ("spearman", "psi", "partial_spearman", "gain"):
        assert row[f"{statistic}_low"] > 0
        assert row[f"{statistic}_q"] < 0.05
    assert row["sign_error_mean_q"] < 0.05
    assert row["reason"] == "partial_spearman_loss: no training loss"
    exact = only_row(runs.assign(measure=runs["gap"]))
    assert (exact["psi"], exact["cmi"], exact["sign_error_max"]) == (1, 1, 0)


def test_a_measure_that_flips_its_sign_between_axes():
    """It follows the gap where lr varies, and goes against it where width varies."""
    runs = runs_of(seeds=3)
    lr, width = np.log10(runs["lr"]), np.log2(runs["width"])
    runs["gap"], runs["measure"] = lr + 0.4 * width, lr - 0.4 * width
    tables = judged(runs)
    row, axes = tables.generalization.iloc[0], tables.axes.set_index("axis")
    assert row["spearman"] > 0.8
    assert (axes.loc["lr", "psi"], axes.loc["width", "psi"]) == (1, -1)
    assert row["direction"] == 1
    assert (row["sign_error_max"], row["sign_error_worst"]) == (1, "width 16 to 32")
    assert axes.loc["lr", "sign_error"] == 0
    assert row["cmi"] < 1


@pytest.mark.slow
def test_a_measure_that_is_noise():
    """Of 40 such measures, few have an interval that leaves out no relation, and none after adjustment for all."""
    runs = runs_of(seeds=2)
    names = [f"noise{i}" for i in range(40)]
    noise = np.random.default_rng(4).normal(size=(len(runs), len(names)))
    table = judged(pd.concat([runs, pd.DataFrame(noise, columns=names)], axis=1), names).generalization
    for statistic in ("spearman", "psi", "partial_spearman", "gain"):
        outside = (table[f"{statistic}_low"] > 0) | (table[f"{statistic}_high"] < 0)
        assert outside.mean() < 0.2, statistic
        assert not (table[f"{statistic}_q"] < 0.05).any(), statistic
    assert table["sign_error_mean"].mean() > 0.35
    assert (table["cmi"] < 0.35).all()


def test_a_constant_measure_and_a_constant_target():
    row = only_row(runs_of().assign(measure=1.5))
    assert (row["psi"], row["cmi"], row["sign_error_mean"], row["sign_error_max"]) == (0, 0, 0.5, 0.5)
    assert row["gain"] == pytest.approx(0, abs=1e-6)
    assert np.isnan([row["spearman"], row["partial_spearman"]]).all()
    assert row["reason"] == "the measure is constant; spearman: undefined"
    row = only_row(runs_of().assign(gap=0.25))
    assert row[["spearman", "psi", "cmi", "sign_error_mean", "partial_spearman", "gain"]].isna().all()
    assert row["reason"] == "the target is constant"
    assert list(row.index) == list(only_row(runs_of()).index), "the columns that readers need"


def test_one_axis_and_few_settings():
    row = only_row(TABLES["one axis"])
    assert row["cmi_given"] == "nothing"
    assert row["n_settings"] == 8
    assert row[["psi", "cmi", "gain", "psi_low"]].notna().all()
    five = only_row(runs_of(lr=[0.1, 0.01, 1e-3, 1e-4, 1e-5]))
    assert five[["psi", "cmi", "spearman"]].notna().all()
    assert five[["psi_low", "cmi_high", "spearman_q"]].isna().all()
    assert "no intervals" in five["reason"]
    for few in (runs_of(seeds=4, lr=[0.1, 0.01]), runs_of(seeds=3, lr=[0.1]), runs_of(seeds=1, lr=[0.1])):
        assert only_row(few)["reason"] == "fewer than 3 settings"
        assert np.isnan(only_row(few)["psi"])
        assert list(only_row(few).index) == list(row.index)


def test_missing_values_count_out_their_runs():
    runs = runs_of(seeds=2)
    runs.loc[[0, 5, 6, 7], "measure"] = [np.nan, np.inf, np.nan, np.nan]
    row = only_row(runs)
    assert (row["n_runs"], row["n_settings"]) == (32, 17)  # 6 and 7 are the runs of one setting
    pd.testing.assert_series_equal(row, only_row(runs.drop(index=[0, 5, 6, 7])), rtol=0.2, check_exact=False, atol=2)
    without = only_row(runs.drop(index=[0, 5, 6, 7]))
    for statistic in ("psi", "cmi", "partial_spearman", "gain", "sign_error_mean"):
        assert row[statistic] == pytest.approx(without[statistic])


def test_seeds_are_not_settings():
    """Runs that are copied under other seeds change no interval over settings; runs that are new narrow none to 0."""
    runs = runs_of(seeds=1)
    copied = pd.concat([runs.assign(seed=seed) for seed in range(4)], ignore_index=True)
    one, four = only_row(runs), only_row(copied)
    assert (four["n_runs"], four["n_settings"]) == (72, 18)
    for statistic in ("spearman", "psi", "cmi", "partial_spearman", "gain"):
        for name in (statistic, f"{statistic}_low", f"{statistic}_high"):
            assert four[name] == pytest.approx(one[name], abs=1e-9), name


def test_measures_are_compared_by_the_difference():
    runs = runs_of(seeds=3)
    rng = np.random.default_rng(6)
    runs["measure"] = runs["gap"] + 0.01 * rng.normal(size=len(runs))
    runs["same"] = -2 * runs["measure"] + 3
    runs["noise"] = rng.normal(size=len(runs))
    tables = judged(runs, ["measure", "same", "noise"])
    found = tables.comparisons.set_index(["statistic", "measure", "other"]).sort_index()
    for statistic in ("spearman", "psi", "cmi", "sign_error_mean", "partial_spearman", "gain"):
        same = found.loc[(statistic, "measure", "same")]
        assert same[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx([0, 0, 0], abs=1e-9)
        assert same["difference_q"] == 1
        worse = found.loc[(statistic, "measure", "noise")]
        row = tables.generalization.set_index("measure")
        sizes = row[statistic].abs()
        assert worse["difference"] == pytest.approx(sizes["measure"] - sizes["noise"])
    assert found.loc[("psi", "measure", "noise"), "difference_low"] > 0
    assert found.loc[("sign_error_mean", "measure", "noise"), "difference_high"] < 0


@pytest.mark.slow
def test_intervals_hold_the_mean_of_the_statistic_over_grids():
    """Of 60 grids whose settings and seeds differ at random; too wide they may be, for a cell loses its pairs."""
    axes = {"lr": LR, "width": WIDTH, "depth": [1, 2, 3]}
    rows = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        runs = runs_of(seeds=2, **axes)
        setting = runs.groupby(list(axes)).ngroup()
        shared, own = rng.normal(size=(2, 18))[:, setting]
        runs["gap"] = shared + 0.5 * rng.normal(size=len(runs))
        runs["measure"] = shared + own + 0.5 * rng.normal(size=len(runs))
        rows.append(only_row(runs, resamples=200))
    table = pd.DataFrame(rows)
    for statistic in ("spearman", "psi", "partial_spearman", "sign_error_mean"):
        mean = table[statistic].mean()
        held = table[f"{statistic}_low"].le(mean) & table[f"{statistic}_high"].ge(mean)
        assert held.mean() >= 0.85, statistic
        assert table[f"{statistic}_low"].gt(0).any() or statistic == "partial_spearman"


def test_runs_above_the_training_loss_are_left_out():
    """And each of the others counts at its own last checkpoint."""
    runs = runs_of(seeds=2)
    early = runs.assign(checkpoint=1, train_loss=0.5, measure=0.0)
    late = runs.assign(checkpoint=2 + runs.index % 3, train_loss=0.009)
    late.loc[[3, 8, 9], "train_loss"] = [0.02, 0.02, np.nan]
    table = pd.concat([early, late], ignore_index=True)
    row = only_row(table, trained_to=0.01)
    assert (row["n_runs"], row["n_untrained"], row["n_settings"]) == (33, 3, 17)
    expected = only_row(runs.drop(index=[3, 8, 9]))
    assert row["psi"] == pytest.approx(expected["psi"])
    assert row["gain"] == pytest.approx(expected["gain"])
    last = only_row(table)  # without the option: the runs that reach the study's last checkpoint
    assert (last["n_runs"], last["n_untrained"], last["checkpoint"]) == (12, 0, 4)


def test_adjustment_for_the_number_of_measures():
    """Against the procedure written out: the largest p below its share of 0.05, and all smaller ones, are accepted."""
    p = [0.001, 0.04, math.nan, 0.012, 0.9, 0.03]
    adjusted = intervals.adjust(p)
    known = sorted(value for value in p if value >= 0)
    accepted = [value for rank, value in enumerate(known, 1) if value <= 0.05 * rank / len(known)]
    assert [value <= 0.05 for value in adjusted] == [value <= max(accepted) for value in p]
    assert np.isnan(intervals.adjust([math.nan])).all()


OURS = {
    "study": "digits",
    "lr": [0.1, 0.01, 0.1, 0.01],
    "dropout": np.nan,
    "seed": [0, 0, 1, 1],
    "checkpoint": 5,
    "estimator": "twonn",
    "llid": [1.0, 2, 3, 4],
    "weight_norm": [1.0, 2, 3, 4],
    "train_accuracy": 1.0,
    "validation_accuracy": [0.5, 0.6, 0.7, 0.8],
    "generalization_gap": [0.5, 0.4, 0.3, 0.2],
    "reason": np.nan,
}


def test_the_columns_of_our_own_table_are_known():
    columns = tell_columns(pd.DataFrame(OURS))
    assert columns.settings == ["lr", "dropout"]
    assert columns.measures == ["llid", "weight_norm"]
    assert columns.targets == ["validation_accuracy", "generalization_gap"]


def test_the_columns_of_other_tables_are_what_remains():
    runs = runs_of().assign(train_loss=0.1)
    assert tell_columns(runs, measures=["measure"], targets=["gap"]).settings == ["lr", "width", "norm"]
    assert tell_columns(runs, ["lr"], ["measure", "gap"], ["train_loss"]).settings == ["lr"]


MISTAKES = {
    "no measure": ([], {}, "no column is a measure of this project; name measures with --measure"),
    "no target": (["--measure", "measure"], {}, "no column validation_accuracy or generalization_gap; name targets"),
    "absent": (["--measure", "llidd", "--target", "gap"], {}, "no column llidd; there are lr, width, norm, seed"),
    "two roles": (["--measure", "gap", "--target", "gap"], {}, "column gap: named twice"),
    "text": (
        ["--measure", "measure", "--target", "gap"],
        {"measure": ["0.5", "n/a", "high", *["0.1"] * 33]},
        "line 4, column measure: 'high' is not a number",
    ),
    "same run twice": (
        ["--measure", "measure", "--target", "gap"],
        {"seed": [0, 1] * 17 + [1, 1]},
        "lines 36 and 37: the same run twice (study made, lr 0.001, width 32, norm layer, seed 1",
    ),
    "no study": (["--measure", "measure", "--target", "gap"], {"study": ["a", None] * 18}, "line 3: study is empty"),
    "samples": (
        ["--measure", "measure", "--target", "gap", "--test-samples", "digits=9"],
        {},
        "--test-samples digits=9: no study digits; there are made",
    ),
    "samples below 1": (
        ["--measure", "measure", "--target", "gap", "--test-samples", "0.5"],
        {},
        "--test-samples 0.5: should be a number above 0",
    ),
    "no loss": (
        ["--measure", "measure", "--target", "gap", "--trained-to", "0.01"],
        {},
        "has no column train_loss, which --trained-to needs",
    ),
}


@pytest.mark.parametrize(("options", "changed", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line(options, changed, expected, tmp_path, monkeypatch, capsys):
    runs_of().assign(**changed).to_csv(tmp_path / "runs.csv", index=False)
    assert run_program(tmp_path, monkeypatch, *options) == 1
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_empty_tables_and_tables_without_study(tmp_path, monkeypatch, capsys):
    runs_of().head(0).to_csv(tmp_path / "runs.csv", index=False)
    assert run_program(tmp_path, monkeypatch, "--measure", "measure", "--target", "gap") == 1
    assert "runs.csv: has no rows" in capsys.readouterr().err
    runs_of().drop(columns="study").to_csv(tmp_path / "runs.csv", index=False)
    assert run_program(tmp_path, monkeypatch, "--measure", "measure", "--target", "gap") == 1
    assert "runs.csv: has no column study" in capsys.readouterr().err


def test_the_program_writes_the_same_tables_each_time(tmp_path, monkeypatch):
    """From anyone's columns, and numbers for studies' names."""
    runs = pd.concat([runs_of(seeds=2).assign(study=7), runs_of(seeds=2, seed=1).assign(study=8)])
    runs.rename(columns={"gap": "risk", "measure": "flatness"}).to_csv(tmp_path / "runs.csv", index=False)
    options = ["--measure", "flatness", "--target", "risk", "--test-samples", "500", "--test-samples", "8=2000"]
    contents = []
    for _ in range(2):
        assert run_program(tmp_path, monkeypatch, *options) is None
        files = [f"out{part}.csv" for part in ("", "_axes", "_environments", "_comparisons")]
        contents.append([(tmp_path / file).read_bytes() for file in files])
    assert contents[0] == contents[1]
    table, axes = (pd.read_csv(tmp_path / f"out{part}.csv") for part in ("", "_axes"))
    assert table["study"].tolist() == [7, 8]
    assert len(axes) == 6
    expected = judged(runs_of(seeds=2), resamples=1000, test_samples=500).generalization.iloc[0]
    for column in ("psi", "psi_low", "cmi_high", "sign_error_max", "gain_low", "partial_spearman_q"):
        assert table.loc[0, column] == pytest.approx(expected[column])


def run_program(folder, monkeypatch, *options):
    """Run the program on runs.csv of a folder, in this process; return its exit status, None for success."""
    program = ROOT / "scripts/tabulate_generalization.py"
    files = ["--measures", str(folder / "runs.csv"), "--output", str(folder / "out.csv")]
    monkeypatch.setattr("sys.argv", [str(program), *files, *options])
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as end:
        return end.code
    return None
