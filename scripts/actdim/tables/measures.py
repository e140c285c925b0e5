"""Every measure of a run at a checkpoint, from the table of LLID and PID and from the files of other measures."""

import pandas as pd

from actdim.errors import UserError
from actdim.tables.columns import METRICS, settings_in, settings_in_order
from actdim.tables.rows import joined, shown_split

OF_IDS = {"llid": "LLID", "pid": "PID", "pid_over_llid": "PID / LLID"}


OF_DIRECTIONS = {
    "validation_ablation_area": "validation area under ablation",
    "train_ablation_area": "train area under ablation",
    "mean_selectivity": "mean selectivity",
}


OF_PROBES = {
    "participation_ratio": "participation ratio",
    **OF_DIRECTIONS,
    "functional_dimension_over_bound": "functional dimension / bound",
}


MEASURES = {**OF_IDS, **OF_PROBES, "weight_norm": "weight norm"}  # the columns, as a reader would say them


def measures_table(summary, estimator, probes):
    """Return a row for each run and checkpoint at which anything was measured, every measure a column.

    summary: the table summary.csv, of which the rows of `estimator` count, of the validation split or, in a study
    that has none, the training split.
    probes: the contents of JSON files of single directions, of functional dimensions, and of principal components,
    whose participation ratio counts of the layer that feeds the classifier. The areas under ablation
    and the selectivity are means over the layers that have a value. What was not measured, or has no value, is empty;
    generalization_gap is train_accuracy - validation_accuracy; reason says what has no value, and why.
    UserError where summary has no rows of the estimator.
    """
    settings = settings_in_order([*settings_in(summary), *(key for one in probes for key in chosen(one))])
    order = ["study", *settings, "checkpoint"]
    ids, others = ids_of(summary, estimator, order), probed(probes, order)
    reasons = joined(pd.concat([ids.pop("reason"), others.pop("reason")]))
    table = ids.combine_first(others).assign(reason=reasons)
    table["generalization_gap"] = table["train_accuracy"] - table["validation_accuracy"]
    metrics = [metric for metric in METRICS if metric not in MEASURES]
    table = table[[*order, "estimator", *MEASURES, *metrics, "generalization_gap", "reason"]]
    return table.astype({"checkpoint": int}).sort_values(order, na_position="first", ignore_index=True)


def chosen(probe):
    """Return the settings that tell the run of a probe from others."""
    return probe["source"]["chosen"]


def ids_of(summary, estimator, order):
    """Return the rows of an estimator in the split to show of each study."""
    if not (summary["estimator"] == estimator).any():
        raise UserError(f"the summary has no rows of the estimator {estimator}")
    summary = pd.concat(shown_split(rows) for _, rows in summary.groupby("study", sort=False))
    return by_run(summary[summary["estimator"] == estimator], order)


def probed(probes, order):
    """Return the measures of probes, a row for each run and checkpoint, with what their files say of it."""
    numbers = [*METRICS, *OF_PROBES]
    rows = pd.DataFrame([row_of(probe) for probe in probes], columns=[*order, *numbers, "reason"])
    rows = by_run(rows.astype(dict.fromkeys(numbers, float)), order)
    how = dict.fromkeys([*order, *METRICS], "first") | dict.fromkeys(OF_PROBES, "mean")
    return rows.groupby(level=list(range(len(order))), sort=False).agg(how).assign(reason=joined(rows["reason"]))


def row_of(probe):
    """Return what a probe's file says of one run, checkpoint and, of single directions, layer."""
    source = probe["source"]
    if "area" in probe:
        values = [probe["area"]["validation"], probe["area"]["train"], probe["mean_selectivity"]]
        measures, what = dict(zip(OF_DIRECTIONS, values, strict=True)), f"directions of {probe['layer']}"
    elif "estimator" in probe:
        last = source["feeds_classifier"]
        measures, what = {"participation_ratio": probe["id"] if last else None}, "participation ratio"
    else:
        measures, what = {"functional_dimension_over_bound": probe["over_bound"]}, "functional dimension"
    metrics = {metric: source.get(metric) for metric in METRICS}
    at = {"study": source["study"], **chosen(probe), "checkpoint": source["checkpoint"]}
    return {**at, **metrics, **measures, "reason": f"{what}: {probe['reason']}" if probe.get("reason") else None}


def by_run(rows, order):
    """Return rows with an index that is the same for one run and checkpoint, whether read from CSV or from JSON."""
    keys = rows.reindex(columns=order).map(as_text)
    return rows.set_axis(pd.MultiIndex.from_frame(keys, names=[None] * len(order)))


def as_text(value):
    """Return a value as text, a number of any type as that of a float: 10 and 10.0 are one setting; none is empty."""
    if pd.isna(value):
        return ""
    try:
        return repr(float(str(value)))
    except ValueError:
        return str(value)
