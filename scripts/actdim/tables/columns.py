"""The columns of the tables."""

ID_MEASURES = ["llid", "pid", "pid_over_llid"]
CHECKPOINT_METRICS = ["train_accuracy", "validation_accuracy", "train_loss", "validation_loss", "weight_norm"]
METRICS_REASON = "metrics_reason"  # why the metrics of a checkpoint mean nothing
IDS_OF_FEWER_POINTS = ["id_half", "id_quarter", "id_eighth"]  # for the scale check

# What programs need of id.csv and summary.csv.
ID_COLUMNS = ("study", "checkpoint", "layer", "depth", "estimator", "id", "split", "class", *IDS_OF_FEWER_POINTS)
SUMMARY_COLUMNS = ("study", "checkpoint", "estimator", *ID_MEASURES, *CHECKPOINT_METRICS, "split")

TARGETS = ["validation_accuracy", "generalization_gap"]  # that measures are to predict

# What programs need of predictors.csv, and the columns that tell its rows apart.
PREDICTORS_KEY = ("study", "sweep", "measure", "target")
PREDICTORS_COLUMNS = (*PREDICTORS_KEY, "n", "spearman_r", "spearman_low", "spearman_high")

COIN = 0.5  # sign error of a measure that tells nothing

ALL_RUNS = "all"  # in place of a sweep


def settings_in_order(names):
    """Return the names of settings once each, in the order in which they first come, but the seed last."""
    return [*(name for name in dict.fromkeys(names) if name != "seed"), "seed"]


def settings_in(table):
    """Return the names of the columns between study and checkpoint that have values: the settings of runs."""
    columns = list(table.columns)
    settings = columns[columns.index("study") + 1 : columns.index("checkpoint")]
    return [name for name in settings if table[name].notna().any()]
