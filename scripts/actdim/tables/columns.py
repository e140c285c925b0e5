"""The names of the tables' columns."""

MEASURES = ["llid", "pid", "pid_over_llid"]


METRICS = ["train_accuracy", "validation_accuracy", "train_loss", "validation_loss", "weight_norm"]


DECIMATED = ["id_half", "id_quarter", "id_eighth"]


ALL_RUNS = "all"


OF_ID = ("study", "checkpoint", "layer", "depth", "estimator", "id", "split", "class", *DECIMATED)  # that figures read


OF_SUMMARY = ("study", "checkpoint", "estimator", *MEASURES, *METRICS, "split")


def settings_in_order(names):
    """Return the names of settings once each, as they first come, the seed last."""
    return [*(name for name in dict.fromkeys(names) if name != "seed"), "seed"]


def settings_in(table):
    """Return the names of the columns between study and checkpoint: the settings that tell runs apart."""
    columns = list(table.columns)
    settings = columns[columns.index("study") + 1 : columns.index("checkpoint")]
    return [name for name in settings if table[name].notna().any()]
