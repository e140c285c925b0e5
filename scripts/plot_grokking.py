#!/usr/bin/env python
"""Plot accuracies and last-layer ID over training, a column for each setting."""

from actdim import cli
from actdim.figures import (
    COLORS,
    label,
    mean_over_seeds,
    parse_arguments,
    plt,
    save_figure,
    select_rows,
    select_shown,
)
from actdim.tables.columns import SUMMARY_COLUMNS, settings_in
from actdim.tables.files import read_csv, require_columns
from actdim.tables.sweeps import combinations

OTHERS = ("seed", "llid_low", "llid_high")  # of summary.csv
ACCURACIES = ["train_accuracy", "validation_accuracy"]


def main():
    arguments = parse_arguments(__doc__, "summary", "training")
    summary = select_shown(read_csv(arguments.summary, *SUMMARY_COLUMNS, *OTHERS), arguments)
    training = read_csv(arguments.training, "study", "checkpoint", *ACCURACIES)
    require_columns(arguments.training, training, settings_in(summary))
    training = select_rows(training, study=arguments.study)
    columns = combinations(summary, settings_in(summary))
    figure, axes = plt.subplots(
        2, len(columns), figsize=(1 + 4.2 * len(columns), 6.4), sharex=True, sharey="row", squeeze=False
    )
    for (name, select), (top, bottom) in zip(columns, axes.T, strict=True):
        top.set_title(name, fontsize=13)
        for split, color, style in (("train", COLORS[0], "--"), ("validation", COLORS[1], "-")):
            checkpoints, mean, deviation = mean_over_seeds(select(training), "checkpoint", f"{split}_accuracy")
            top.plot(checkpoints, mean, style, color=color, label=split)
            top.fill_between(checkpoints, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0)
        runs = select(summary)
        checkpoints, mean, deviation = mean_over_seeds(runs, "checkpoint", "llid")
        if runs["seed"].nunique() == 1:  # the interval of the estimate
            runs = runs.dropna(subset=["llid"])
            deviation = [runs["llid"] - runs["llid_low"], runs["llid_high"] - runs["llid"]]
        bottom.errorbar(checkpoints, mean, deviation, marker="o", color=COLORS[2], capsize=4)
        bottom.set_xlabel(f"training ({arguments.unit})")
    axes[0, 0].set_ylabel("accuracy (fraction)")
    axes[0, 0].legend(loc="center right", fontsize=11)
    axes[1, 0].set_ylabel(label("llid"))
    axes[1, 0].set_ylim(bottom=0)
    save_figure(figure, arguments)


if __name__ == "__main__":
    cli.run(main)
