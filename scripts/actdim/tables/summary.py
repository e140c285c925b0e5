"""The table of LLID and PID."""

import pandas as pd

from actdim.names import INPUT
from actdim.tables.columns import CHECKPOINT_METRICS, METRICS_REASON
from actdim.tables.rows import join_reasons

MOST_CHANGE = 2  # of an ID between a quarter of the points and all of them


def summary_table(ids, settings):
    """Return a row for each run, checkpoint, split and estimator: LLID with its interval, PID, PID / LLID, metrics.

    LLID is the ID of the layer that feeds the classifier, PID the largest ID of all layers whose ID is stable over
    scales (see `is_stable`); the input is not a layer. Missing values are empty; `reason` names the layers without an
    ID, or with one that is not stable, and says why metrics are missing. PID ignores those layers.
    """
    keys = ["study", *settings, "checkpoint", "split", "estimator"]
    together = ids[ids["class"].isna()]
    together = together.set_index(together.groupby(keys, dropna=False, sort=False).ngroup())
    layers = together[together["layer"] != INPUT]
    last = layers[layers["feeds_classifier"].astype(bool)]
    stable = is_stable(layers)
    peak = layers[stable].dropna(subset="id").sort_values("id")
    peak = peak[~peak.index.duplicated(keep="last")]
    missing, unstable = layers[layers["id"].isna()], layers[~stable]
    summary = together[~together.index.duplicated()]
    without_last = summary.loc[summary.index.difference(last.index), "no_classifier_input"]
    reasons = [
        "ID of " + missing["layer"] + ": " + missing["reason"].astype(str),
        "PID without " + unstable["layer"] + ": " + scales_text(unstable),
        summary[METRICS_REASON],
        "LLID: " + without_last.fillna("the layer that feeds the classifier is not measured").astype(str),
        pd.Series("PID: no layer is measured", summary.index.difference(layers.index), dtype=object),
    ]
    measures = {
        "llid": last["id"],
        "llid_low": last["low"],
        "llid_high": last["high"],
        "pid": peak["id"],
        "pid_layer": peak["layer"],
        "pid_over_llid": peak["id"] / last["id"],
    }
    summary = summary.assign(**measures, reason=join_reasons(pd.concat(reasons)))
    place = [key for key in keys if key != "split"]
    return summary[[*place, *measures, *CHECKPOINT_METRICS, "split", "reason"]].reset_index(drop=True)


def is_stable(estimates):
    """Return for each row of id.csv whether its ID is stable over scales; True where its estimator gives no scales.

    A quarter of the points lie farther apart, at a larger scale. An ID that more than doubles or halves between there
    and all points, MOST_CHANGE, describes the scale, such as that of noise, and not the data.
    """
    change = estimates["id"] / estimates["id_quarter"]
    return ~((change > MOST_CHANGE) | (change < 1 / MOST_CHANGE))


def scales_text(estimates):
    """Return in words how the ID of each row of id.csv changes over scales."""
    texts = [
        f"its ID is {quarter:.3g} from a quarter of the points and {every:.3g} from all"
        for quarter, every in zip(estimates["id_quarter"], estimates["id"], strict=True)
    ]
    return pd.Series(texts, estimates.index, dtype=object)
