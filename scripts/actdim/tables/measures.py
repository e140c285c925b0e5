"""The table of all measures: LLID and PID from the summary, the others from their result files."""

import pandas as pd

from actdim.errors import UserError
from actdim.measures.table import MEASURES
from actdim.tables.columns import CHECKPOINT_METRICS, ID_MEASURES, METRICS_REASON, settings_in, settings_in_order
from actdim.tables.results import CHECKPOINT_KEYS, LAYER_KEYS, read_result
from actdim.tables.rows import join_once, join_reasons, shown_split

OTHER_COLUMNS = {column: label for measure in MEASURES.values() for column, label in measure.columns.items()}

# {column: its name for a reader} of all measures.
MEASURE_COLUMNS = {
    "llid": "LLID",
    "pid": "PID",
    "pid_over_llid": "PID / LLID",
    "train_llid": "training LLID",
    "train_pid": "training PID",
    "train_pid_over_llid": "training PID / LLID",
    "llid_over_null": "LLID / its null",
    **OTHER_COLUMNS,
    "weight_norm": "weight norm",
}

BY_PROGRAM = {f"{measure.rule}.py": measure for measure in MEASURES.values()}


def measures_table(summary, estimator, results):
    """Return a row for each run and checkpoint at which anything was measured, every measure a column.

    summary: the table summary.csv; only rows of `estimator` are used, those of the validation split or, in a study
    without them, of the training split. The columns train_llid, train_pid and train_pid_over_llid are those of the
    training split, in studies that measure it.
    results: the contents of the result files of the other measures; see measures.table. Where a measure has results of
    several layers, the table has the mean over those with a value.
    Missing values are empty; `reason` names them and says why. id_null is the null of LLID (see measures.null);
    generalization_gap is train_accuracy - validation_accuracy.
    Raises UserError where summary has no rows of the estimator.
    """
    settings = [*settings_in(summary), *(setting for result in results for setting in result["source"]["chosen"])]
    order = ["study", *settings_in_order(settings), "checkpoint"]
    ids, others = summary_rows(summary, estimator, order), result_rows(results, order)
    reasons = join_reasons(pd.concat([ids.pop("reason"), others.pop("reason")]))
    table = ids.combine_first(others).assign(reason=reasons)
    table["llid_over_null"] = table["llid"] / table["id_null"]
    table["generalization_gap"] = table["train_accuracy"] - table["validation_accuracy"]
    metrics = [metric for metric in CHECKPOINT_METRICS if metric not in MEASURE_COLUMNS]
    table = table[[*order, "estimator", *MEASURE_COLUMNS, *metrics, "generalization_gap", "reason"]]
    return table.astype({"checkpoint": int}).sort_values(order, na_position="first", ignore_index=True)


def summary_rows(summary, estimator, order):
    """Return the summary's rows of an estimator, of one split for each study, with the IDs of training samples."""
    if not (summary["estimator"] == estimator).any():
        raise UserError(f"the summary has no rows of the estimator {estimator}")
    shown = pd.concat(shown_split(rows) for _, rows in summary.groupby("study", sort=False))
    shown, train = (index_by_run(rows[rows["estimator"] == estimator], order) for rows in (shown, summary))
    return shown.join(train.loc[train["split"] == "train", ID_MEASURES].add_prefix("train_"))


def result_rows(results, order):
    """Return a row for each run and checkpoint of result files, with their measures and metrics."""
    numbers = [*CHECKPOINT_METRICS, *OTHER_COLUMNS]
    rows = pd.DataFrame([row_of_result(result) for result in results], columns=[*order, *numbers, "reason"])
    rows = index_by_run(rows.astype(dict.fromkeys(numbers, float)), order)
    how = dict.fromkeys([*order, *CHECKPOINT_METRICS], "first") | dict.fromkeys(OTHER_COLUMNS, "mean")
    return rows.groupby(level=list(range(len(order))), sort=False).agg(how).assign(reason=join_reasons(rows["reason"]))


def row_of_result(result):
    """Return the row that a result file gives by itself: its run and checkpoint, metrics, and the measure's columns."""
    measure, source = measure_of(result), result["source"]
    place = {"study": source["study"], **source["chosen"], "checkpoint": source["checkpoint"]}
    metrics = {metric: source.get(metric) for metric in CHECKPOINT_METRICS}
    name = measure.name.replace("_", " ") + (f" of {result['layer']}" if "layer" in result else "")
    reasons = [f"{name}: {result['reason']}"] if result.get("reason") else []
    reasons += [f"{OTHER_COLUMNS[column]}: {reason}" for column, reason in result.get("undefined", {}).items()]
    reasons += [source[METRICS_REASON]] if METRICS_REASON in source else []
    return {**place, **metrics, **measure.values(result), "reason": join_once(reasons) or None}


def read_measure(path):
    """Return the content of a measure's JSON file; UserError that names it where it is not one of a checkpoint."""
    result = read_result(path, BY_PROGRAM, CHECKPOINT_KEYS)
    if measure_of(result).last_layer:
        read_result(path, BY_PROGRAM, LAYER_KEYS)
    if "classes" in result:
        raise UserError(f"{path}: of each class by itself; should be of all classes together")
    return result


def measure_of(result):
    """Return the Measure of a result file, which the program that made it tells."""
    return BY_PROGRAM[result["made_by"]["program"]]


def index_by_run(rows, order):
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
