"""The table of all estimates."""

import pandas as pd

from actdim.tables.columns import CHECKPOINT_METRICS, IDS_OF_FEWER_POINTS, METRICS_REASON, settings_in_order

ESTIMATE_COLUMNS = ["id", "low", "high", "n_points", "n_dropped", "recall", "recall_k", "n_copies"]
LAYER_COLUMNS = ["layer", "depth", "feeds_classifier", "no_classifier_input"]


def id_table(estimates):
    """Return (table, settings): a row for each estimate, and the names of the columns that tell runs apart.

    estimates: the contents of the JSON files of estimate_id and estimate_pca. Columns: study, the settings that vary,
    seed, checkpoint, layer, depth, feeds_classifier, no_classifier_input (why no layer does), estimator, id, low, high,
    n_points, n_dropped, recall, recall_k, n_copies, split, class (empty for all together), the id of half, a quarter,
    an eighth of the points, reason, and the metrics with their own reason.
    """
    rows = [
        {
            "seed": None,
            **estimate["source"]["chosen"],
            **{key: estimate["source"].get(key) for key in ("study", "checkpoint", *LAYER_COLUMNS, "split")},
            **{key: estimate["source"].get(key) for key in (*CHECKPOINT_METRICS, METRICS_REASON)},
            "estimator": estimate["estimator"],
            **{key: result.get(key) for key in (*ESTIMATE_COLUMNS, "class", "reason")},
            **ids_of_fewer_points(result),
        }
        for estimate in estimates
        for result in estimate.get("classes", [estimate])
    ]
    settings = settings_in_order(key for estimate in estimates for key in estimate["source"]["chosen"])
    place = ["study", *settings, "checkpoint"]
    numbers = ["id", "low", "high", "recall", "recall_k", *IDS_OF_FEWER_POINTS, *CHECKPOINT_METRICS]
    table = pd.DataFrame(rows).astype({"class": "Int64", "n_copies": "Int64", **dict.fromkeys(numbers, float)})
    table = table.sort_values([*place, "split", "depth", "estimator", "class"], na_position="first", ignore_index=True)
    columns = [*LAYER_COLUMNS, "estimator", *ESTIMATE_COLUMNS, "split", "class", *IDS_OF_FEWER_POINTS, "reason"]
    return table[[*place, *columns, *CHECKPOINT_METRICS, METRICS_REASON]], settings


def ids_of_fewer_points(estimate):
    """Return {id_half, id_quarter, id_eighth} of an estimate, empty where its estimator gives none."""
    ids = [subset["id"] for subset in estimate.get("decimated", [])] or [None] * len(IDS_OF_FEWER_POINTS)
    return dict(zip(IDS_OF_FEWER_POINTS, ids, strict=True))
