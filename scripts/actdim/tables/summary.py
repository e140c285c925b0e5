"""The tables: from single estimates to LLID, PID, and how they go with regularization and generalization."""

import pandas as pd

from actdim.names import INPUT
from actdim.tables.columns import METRICS
from actdim.tables.rows import joined

MOST_CHANGE = 2  # of an ID between a quarter of the points and all of them


def summary_table(ids, settings):
    """Return a row for each run, checkpoint, split and estimator: LLID with its interval, PID, PID / LLID, metrics.

    LLID is the ID of the layer that feeds the classifier, PID the largest of all layers whose ID is stable over scales
    (see `is_stable`); the data themselves are no layer. Missing values are empty; `reason` names the layers without an
    ID, or with one that is not stable, which PID ignores.
    """
    keys = ["study", *settings, "checkpoint", "split", "estimator"]
    layers = ids[(ids["layer"] != INPUT) & ids["class"].isna()]
    layers = layers.set_index(layers.groupby(keys, dropna=False, sort=False).ngroup())
    last = layers[layers.feeds_classifier.astype(bool)]
    stable = is_stable(layers)
    peak = layers[stable].dropna(subset="id").sort_values("id")
    peak = peak[~peak.index.duplicated(keep="last")]
    lost, unstable = layers[layers["id"].isna()], layers[~stable]
    unmeasured = layers.index.unique().difference(last.index)
    reasons = [
        "ID of " + lost["layer"] + ": " + lost["reason"].astype(str),
        "PID without " + unstable["layer"] + ": " + of_scales(unstable),
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


def is_stable(estimates):
    """Return for each row of id.csv whether its ID is stable over scales; True where its estimator gives no scales.

    A quarter of the points lie farther apart, at a larger scale. An ID that more than doubles or halves between there
    and all points, MOST_CHANGE, describes the scale, such as that of noise, and not the data.
    """
    change = estimates["id"] / estimates["id_quarter"]
    return ~((change > MOST_CHANGE) | (change < 1 / MOST_CHANGE))


def of_scales(estimates):
    """Return in words how the ID of each row of id.csv changes over scales."""
    texts = [
        f"its ID is {quarter:.3g} from a quarter of the points and {every:.3g} from all"
        for quarter, every in zip(estimates["id_quarter"], estimates["id"], strict=True)
    ]
    return pd.Series(texts, estimates.index, dtype=object)
