"""The table of every estimate."""

import pandas as pd

from actdim.tables.columns import DECIMATED, METRICS, settings_in_order


def id_table(estimates):
    """Return (table, settings): a row for each estimate, and the names of the columns that tell runs apart.

    estimates: the contents of the JSON files of estimate_id and estimate_pca. Columns: study, the settings that vary,
    seed, checkpoint, layer, depth, feeds_classifier, estimator, id, low, high, n_points, n_dropped, recall, recall_k,
    n_copies, split, class (empty for all together), the id of half, a quarter, an eighth of the points, reason, and the
    metrics.
    """
    own = ["id", "low", "high", "n_points", "n_dropped", "recall", "recall_k", "n_copies", "class", "reason"]
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
    numbers = ["id", "low", "high", "recall", "recall_k", *DECIMATED, *METRICS]
    table = pd.DataFrame(rows).astype({"class": "Int64", "n_copies": "Int64", **dict.fromkeys(numbers, float)})
    table = table.sort_values([*order, "split", "depth", "estimator", "class"], na_position="first", ignore_index=True)
    columns = ["layer", "depth", "feeds_classifier", "estimator", *own[:8], "split", "class", *DECIMATED, "reason"]
    return table[[*order, *columns, *METRICS]], settings


def of_fewer_points(estimate):
    """Return {id_half, id_quarter, id_eighth} of an estimate, empty where its estimator gives none."""
    found = [one["id"] for one in estimate.get("decimated", [])] or [None] * len(DECIMATED)
    return dict(zip(DECIMATED, found, strict=True))
