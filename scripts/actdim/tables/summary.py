"""The tables: from single estimates to LLID, PID, and how they go with regularization and generalization."""

import pandas as pd

from actdim.names import INPUT
from actdim.tables.columns import METRICS
from actdim.tables.rows import joined


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
