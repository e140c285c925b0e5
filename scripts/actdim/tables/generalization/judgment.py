"""All statistics of one measure and one target over the runs of a study, with their intervals."""

from typing import NamedTuple

import numpy as np

from actdim.sweeps import value_text
from actdim.tables.generalization.correlations import partial_spearman_given, partial_spearman_given_settings, spearman
from actdim.tables.generalization.gain import cross_fitted_gain
from actdim.tables.generalization.granulated import granulated_kendall
from actdim.tables.generalization.information import conditional_information
from actdim.tables.generalization.intervals import FEWEST_SETTINGS, interval, p_value, smallest_correlation
from actdim.tables.generalization.sign_errors import FEWEST_PAIRS, sign_errors

FEWEST = 3  # settings that have any statistic
SIGNED = ("spearman", "psi", "partial_spearman", "partial_spearman_loss")  # that tell the direction of a relation
# The value without a relation, of statistics whose resamples can lie on either side of it.
NO_RELATION = {**dict.fromkeys(SIGNED, 0), "gain": 0, "sign_error_mean": 0.5}
STATISTICS = ("spearman", "psi", "cmi", "sign_error_mean", "sign_error_p90", "sign_error_max", *SIGNED[2:], "gain")
SUMMARIES = {"mean": np.mean, "p90": lambda errors: np.percentile(errors, 90), "max": np.max}  # of environments
ROUNDING = 1e-9  # of information
NO_AXES = "nothing"  # what is given where cmi is smallest for the empty set
# What is told of the statistics of a measure that is not judged: its columns, without values.
NOT_JUDGED = {
    "cmi": {"cmi_given": None},
    "sign_error_max": {"sign_error_worst": None, "direction": None, "n_environments": None},
}


class Judgment(NamedTuple):
    """What the statistics say of a measure and a target: rows of the tables, and each statistic in every draw."""

    row: dict  # its columns that end in _q hold p-values
    axes: list[dict]
    environments: list[dict]
    draws: dict[str, np.ndarray]  # {statistic: (draws,)}


def judge(grid, x, y, loss, test_samples=None, environments="values"):
    """Return the Judgment of a measure x, a target y and the training loss of each run of a grid, (R,).

    test_samples, environments: see sign_errors.
    """
    n_runs, n_settings = len(x), len(grid.levels) if len(x) else 0
    draws = dict.fromkeys(STATISTICS, np.full(grid.setting_counts.shape[1], np.nan))
    counts = {
        "n_runs": n_runs,
        "n_settings": n_settings,
        "smallest_correlation": smallest_correlation(n_settings),
    }
    if n_settings < FEWEST or np.ptp(y) == 0:
        reason = f"fewer than {FEWEST} settings" if n_settings < FEWEST else "the target is constant"
        return Judgment({**counts, **all_estimates(draws, n_settings, NOT_JUDGED), "reason": reason}, [], [], draws)
    x_ranks, y_ranks = grid.ranks(x), grid.ranks(y)
    psi = granulated_kendall(grid, x_ranks, y_ranks)
    sets, information = conditional_information(grid, x_ranks, y_ranks)
    errors = sign_errors(grid, x, y, test_samples, environments)
    draws |= {
        "spearman": spearman(grid, x_ranks, y_ranks),
        "psi": mean_defined(psi),
        "cmi": smallest_defined(information),
        **summarize(errors.errors),
        "partial_spearman": partial_spearman_given_settings(grid, x_ranks, y_ranks),
        "gain": cross_fitted_gain(grid, x_ranks, y_ranks),
    }
    if np.isfinite(loss).all():
        draws["partial_spearman_loss"] = partial_spearman_given(grid, x_ranks, y_ranks, grid.ranks(loss))
    told = {"cmi": {"cmi_given": given_text(grid, sets, information[:, 0])}, "sign_error_max": worst(grid, errors)}
    row = {**counts, **all_estimates(draws, n_settings, told), "reason": missing_text(draws, x, loss, n_settings)}
    axes = [axis_row(grid, axis, psi[axis], errors) for axis in range(len(grid.axes))]
    return Judgment(row, axes, environment_rows(grid, errors), draws)


def all_estimates(draws, n_settings, told):
    """Return the columns of all statistics, each followed by what is told of it: {statistic: {column: value}}.

    Those that end in _q hold p-values, for tables to adjust for their number.
    """
    columns = {}
    for statistic in STATISTICS:
        columns |= estimate(statistic, draws[statistic], n_settings)
        if statistic in NO_RELATION:
            resampled = resamples_of(draws[statistic], n_settings)
            columns[f"{statistic}_q"] = p_value(resampled, NO_RELATION[statistic])
        columns |= told.get(statistic, {})
    return columns


def estimate(name, values, n_settings):
    """Return {name, name_low, name_high} of a statistic's values in every draw."""
    low, high = interval(resamples_of(values, n_settings))
    return {name: values[0], f"{name}_low": low, f"{name}_high": high}


def resamples_of(values, n_settings):
    """Return a statistic's values in the resamples; none where it is undefined or the settings are too few."""
    return values[1:] if n_settings >= FEWEST_SETTINGS and np.isfinite(values[0]) else values[:0]


def mean_defined(values):
    """Return the mean of values (n, draws) over those that are defined in a draw, nan where none is."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0).sum(axis=0)
    return np.where(defined.any(axis=0), total / np.maximum(defined.sum(axis=0), 1), np.nan)


def smallest_defined(information):
    """Return the smallest information (draws,) over the sets (sets, draws) that are defined in draw 0 and the draw."""
    smallest = np.where(np.isfinite(information[:, :1] + information), information, np.inf).min(axis=0)
    return np.where(np.isfinite(smallest), smallest, np.nan)


def summarize(errors):
    """Return {sign_error_mean, ...: (draws,)} of sign errors (E, draws), over the environments defined in a draw."""
    defined = [column[np.isfinite(column)] for column in errors.T]
    return {
        f"sign_error_{name}": np.array([summary(values) if len(values) else np.nan for values in defined])
        for name, summary in SUMMARIES.items()
    }


def given_text(grid, sets, information):
    """Return the names of the axes under which the information (sets,) is smallest; None where it is undefined.

    Of sets that are equal but for rounding, it is the first, which is among the smallest.
    """
    if not np.isfinite(information).any():
        return None
    smallest = np.flatnonzero(information <= np.nanmin(information) + ROUNDING)[0]
    return ", ".join(grid.axes[axis] for axis in sets[smallest]) or NO_AXES


def worst(grid, errors):
    """Return the columns that tell which environment has the largest sign error, and in which direction it counts."""
    if not len(errors.axis):
        return {"sign_error_worst": None, "direction": np.nan, "n_environments": 0}
    place = int(np.argmax(errors.errors[:, 0]))
    return {
        "sign_error_worst": f"{grid.axes[errors.axis[place]]} {environment_text(grid, errors, place)}",
        "direction": errors.direction,
        "n_environments": len(errors.axis),
    }


def environment_text(grid, errors, place):
    """Return the values between which an environment compares, and what it holds fixed: 0.1 to 0.01 (depth=2)."""
    values = grid.values[errors.axis[place]]
    low, high = (value_text(values[end]) for end in errors.ends[place])
    held = [
        f"{grid.axes[axis]}={value_text(grid.values[axis][level])}"
        for axis, level in enumerate(errors.rest[place])
        if level >= 0
    ]
    return f"{low} to {high}" + (f" ({', '.join(held)})" if held else "")


def axis_row(grid, axis, psi, errors):
    """Return the row of an axis: psi, its mean sign error, and how many pairs of settings differ in it alone."""
    of_axis = errors.errors[errors.axis == axis, 0]
    return {
        "axis": grid.axes[axis],
        **estimate("psi", psi, len(grid.levels)),
        "sign_error": of_axis.mean() if len(of_axis) else np.nan,
        "n_environments": len(of_axis),
        "n_pairs": int((grid.pair_axis == axis).sum()),
    }


def environment_rows(grid, errors):
    """Return a row for each environment: axis, values, sign error, effective number of pairs."""
    return [
        {
            "axis": grid.axes[axis],
            "environment": environment_text(grid, errors, place),
            "sign_error": errors.errors[place, 0],
            "n_effective_pairs": errors.pairs[place],
        }
        for place, axis in enumerate(errors.axis)
    ]


def missing_text(draws, x, loss, n_settings):
    """Return why statistics, or all intervals, are missing; None where nothing is."""
    reasons = {
        "spearman": "undefined",
        "psi": "no two settings differ in one axis alone",
        "cmi": "the settings leave no order of the target to tell",
        "sign_error_mean": f"no environment has {FEWEST_PAIRS} pairs of runs whose targets surely differ",
        "partial_spearman": "the settings leave too little of the measure or the target",
        "partial_spearman_loss": "the training loss leaves too little of the measure or the target",
        "gain": "the target cannot be ranked",
    }
    if not np.isfinite(loss).all():
        reasons["partial_spearman_loss"] = "no training loss"
    missing = [name for name in reasons if not np.isfinite(draws[name][0])]
    texts = ["the measure is constant"] if np.ptp(x) == 0 else []
    texts += [f"{name}: {reasons[name]}" for name in missing if not (texts and name.startswith("partial"))]
    if n_settings < FEWEST_SETTINGS:
        texts.append(f"fewer than {FEWEST_SETTINGS} settings have no intervals")
    return "; ".join(texts) or None
