"""The tables: from single estimates to LLID, PID, and how they go with regularization and generalization."""

import io
from pathlib import Path

import pandas as pd
from pandas.api.types import is_bool, is_numeric_dtype
from scipy import stats

from actdim.errors import UserError
from actdim.files import AGAIN, read_sealed_table, seal_table, whole
from actdim.hdf5 import INPUT

MEASURES = ["llid", "pid", "pid_over_llid"]
METRICS = ["train_accuracy", "validation_accuracy", "train_loss", "validation_loss", "weight_norm"]
DECIMATED = ["id_half", "id_quarter", "id_eighth"]
ALL_RUNS = "all"
OF_ID = ("study", "checkpoint", "layer", "depth", "estimator", "id", "split", "class", *DECIMATED)  # that figures read
OF_SUMMARY = ("study", "checkpoint", "estimator", *MEASURES, *METRICS, "split")


def id_table(estimates):
    """Return (table, settings): a row for each estimate, and the names of the columns that tell runs apart.

    estimates: the contents of the JSON files of estimate_id and estimate_pca. Columns: study, the settings that vary,
    seed, checkpoint, layer, depth, feeds_classifier, estimator, id, low, high, n_points, n_dropped, recall, split,
    class (empty for all together), the id of half, a quarter, an eighth of the points, reason, and the metrics.
    """
    own = ["id", "low", "high", "n_points", "n_dropped", "recall", "class", "reason"]
    of = ["layer", "depth", "feeds_classifier", "split", *METRICS]
    rows = [
        {
            "study": estimate["source"]["study"],
            **estimate["source"]["chosen"],
            "checkpoint": estimate["source"]["checkpoint"],
            **{key: estimate["source"].get(key) for key in of},
            "estimator": estimate["estimator"],
            **{key: one.get(key) for key in own},
            **of_fewer_points(one),
        }
        for estimate in estimates
        for one in estimate.get("classes", [estimate])
    ]
    settings = settings_in_order(key for estimate in estimates for key in estimate["source"]["chosen"])
    order = ["study", *settings, "checkpoint"]
    numbers = ["id", "low", "high", "recall", *DECIMATED, *METRICS]
    table = pd.DataFrame(rows).astype({"class": "Int64", **dict.fromkeys(numbers, float)})
    table = table.sort_values([*order, "split", "depth", "estimator", "class"], na_position="first", ignore_index=True)
    columns = ["layer", "depth", "feeds_classifier", "estimator", *own[:6], "split", "class", *DECIMATED, "reason"]
    return table[[*order, *columns, *METRICS]], settings


def of_fewer_points(estimate):
    """Return {id_half, id_quarter, id_eighth} of an estimate, empty where its estimator gives none."""
    found = [one["id"] for one in estimate.get("decimated", [])] or [None] * len(DECIMATED)
    return dict(zip(DECIMATED, found, strict=True))


def settings_in_order(names):
    """Return the names of settings once each, as they first come, the seed last."""
    return [*(name for name in dict.fromkeys(names) if name != "seed"), "seed"]


def settings_in(table):
    """Return the names of the columns between study and checkpoint: the settings that tell runs apart."""
    columns = list(table.columns)
    settings = columns[columns.index("study") + 1 : columns.index("checkpoint")]
    return [name for name in settings if table[name].notna().any()]


def summary_table(ids, settings):
    """Return a row for each run, checkpoint, split and estimator: LLID with its interval, PID, PID / LLID, metrics.

    LLID is the ID of the layer that feeds the classifier, PID the largest of all layers; the data themselves are
    no layer. A value that there is none of is empty; `reason` says which layers have none, and why, of which PID then
    is not the largest.
    """
    keys = ["study", *settings, "checkpoint", "split", "estimator"]
    layers = ids[(ids["layer"] != INPUT) & ids["class"].isna()]
    layers = layers.set_index(layers.groupby(keys, dropna=False, sort=False).ngroup())
    last = layers[layers.feeds_classifier.astype(bool)]
    peak = layers.dropna(subset="id").sort_values("id")
    peak = peak[~peak.index.duplicated(keep="last")]
    lost = layers[layers["id"].isna()]
    unmeasured = layers.index.unique().difference(last.index)
    reasons = [
        "ID of " + lost["layer"] + ": " + lost["reason"].astype(str),
        pd.Series("LLID: the layer that feeds the classifier is not among those measured", unmeasured, dtype=object),
    ]
    measures = {
        "llid": last["id"],
        "llid_low": last["low"],
        "llid_high": last["high"],
        "pid": peak["id"],
        "pid_layer": peak["layer"],
        "pid_over_llid": peak["id"] / last["id"],
        "reason": joined(pd.concat(reasons)),
    }
    summary = layers[~layers.index.duplicated()].assign(**measures)
    keys.remove("split")
    del measures["reason"]
    return summary[[*keys, *measures, *METRICS, "split", "reason"]].reset_index(drop=True)


def joined(reasons):
    """Return the reasons of each place in an index as one text, without what is empty."""
    reasons = reasons.dropna()
    return reasons.groupby(level=list(range(reasons.index.nlevels)), sort=False).agg("; ".join)


def sweeps(summary, settings):
    """Yield (name, setting, rows) for every sweep of a study: runs in which one setting alone varies.

    summary: the rows of one study. A sweep has three values of its setting or more; it is named after the
    setting, and where several sweeps vary the same one, after what they hold fixed too. A setting that the model
    of some runs lacks is empty in their rows, and as good a value to hold fixed as any.
    """
    varied = varying(summary, settings)
    for key in filter(lambda key: is_numeric_dtype(summary[key]), varied):
        others = [other for other in varied if other != key]
        groups = [((), summary)] if not others else summary.groupby(others, dropna=False)
        long = [(fixed, rows) for fixed, rows in groups if rows[key].nunique() >= 3]
        for fixed, rows in long:
            held = ", ".join(f"{other}={value_text(value)}" for other, value in zip(others, fixed, strict=True))
            yield (f"{key} at {held}" if len(long) > 1 else key), key, rows


def configurations(rows, settings):
    """Return (name, function that selects its rows from a table) for every combination of settings but the seed."""
    varied = varying(rows, settings)
    if not varied:
        return [("all runs", lambda table: table)]

    def selector(values):
        values = list(values)
        return lambda table: table[((table[varied] == values) | (table[varied].isna() & pd.isna(values))).all(axis=1)]

    return [
        (
            ", ".join(
                f"{key.replace('_', ' ')} {value_text(value)}" for key, value in zip(varied, values, strict=True)
            ),
            selector(values),
        )
        for values in rows[varied].drop_duplicates().itertuples(index=False, name=None)
    ]


def varying(rows, settings):
    """Return the settings, but the seed, that differ between rows."""
    return [key for key in settings if key != "seed" and rows[key].nunique() > 1]


def value_text(value):
    """Return a setting's value as a reader would write it; none for an empty one."""
    if pd.isna(value):
        return "none"
    if is_bool(value):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"


def correlations_table(summary, settings):
    """Return Pearson's and Spearman's r and p, at each study's last checkpoint, for each sweep and all runs of a split.

    A correlation of fewer than three runs, or with a constant, is empty.
    """
    rows = []
    for (study, split, estimator), part in summary.groupby(["study", "split", "estimator"], sort=False):
        part = last_checkpoint(part)
        for name, key, runs in [*sweeps(part, settings), (ALL_RUNS, None, part)]:
            strength = [(key, y) for y in [*MEASURES, "validation_accuracy"]] if key else []
            for x, y in [*strength, *((measure, "validation_accuracy") for measure in MEASURES)]:
                of = {"study": study, "sweep": name, "estimator": estimator, "checkpoint": part.checkpoint.iloc[0]}
                rows.append({**of, "x": x, "y": y, **correlate(runs[x], runs[y]), "split": split})
    return pd.DataFrame(rows)


def shown_split(rows):
    """Return the rows of the validation split, or where there are none those of the training split."""
    return rows[rows["split"] == ("validation" if (rows["split"] == "validation").any() else "train")]


def last_checkpoint(rows):
    """Return the rows at the last checkpoint that any of them has."""
    return rows[rows["checkpoint"] == rows["checkpoint"].max()]


def correlate(x, y):
    """Return Pearson's and Spearman's correlation of two columns over the rows in which both have a value."""
    both = x.notna() & y.notna()
    x, y = x[both].astype(float), y[both].astype(float)
    result = dict.fromkeys(["pearson_r", "pearson_p", "spearman_r", "spearman_p"])
    if len(x) >= 3 and x.nunique() > 1 and y.nunique() > 1:
        for name, test in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
            result[f"{name}_r"], result[f"{name}_p"] = test(x, y)
    return {**result, "n": len(x)}


def write_csv(table, path):
    """Write a table whole or not at all, and its checksum beside it."""
    text = table.to_csv(index=False)
    with whole(path, len(text)) as beside:
        beside.write_text(text)
        seal_table(beside, path)


def read_csv(path, *columns, remedy=AGAIN):
    """Read a table that has `columns`; a missing, empty or damaged one is a UserError that names it."""
    content = read_sealed_table(Path(path), remedy)
    try:
        table = pd.read_csv(io.BytesIO(content))
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        raise UserError(f"{path}: not a whole table; {remedy}") from None
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"{path}: has no column {', '.join(missing)}; {remedy}")
    return table
