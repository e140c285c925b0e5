#!/usr/bin/env python
"""Plot accuracies and last-layer ID over training, a column a setting."""

from actdim import cli
from actdim.figures import COLORS, arguments, label, of_all_samples, over_seeds, plt, rows_of, save, settings_in
from actdim.tables.columns import CHECKPOINT_METRICS, SUMMARY_COLUMNS
from actdim.tables.files import read_csv
from actdim.tables.sweeps import combinations


def main():
    chosen = arguments(__doc__, "summary", "training")
    summary = of_all_samples(read_csv(chosen.summary, *SUMMARY_COLUMNS), chosen)
    training = rows_of(read_csv(chosen.training, "study", "checkpoint", *CHECKPOINT_METRICS[:2]), study=chosen.study)
    columns = combinations(summary, settings_in(summary))
    figure, axes = plt.subplots(
        2, len(columns), figsize=(1 + 4.2 * len(columns), 6.4), sharex=True, sharey="row", squeeze=False
    )
    for (name, select), (top, bottom) in zip(columns, axes.T, strict=True):
        for split, color, style in (("train", COLORS[0], "--"), ("validation", COLORS[1], "-")):
            at, mean, deviation = over_seeds(select(training), "checkpoint", f"{split}_accuracy")
            top.plot(at, mean, style, color=color, label=split)
            top.fill_between(at, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0)
        top.set_title(name, fontsize=13)
        runs = select(summary)
        at, mean, deviation = over_seeds(runs, "checkpoint", "llid")
        if runs["seed"].nunique() == 1:
            runs = runs.dropna(subset=["llid"])
            deviation = [runs["llid"] - runs["llid_low"], runs["llid_high"] - runs["llid"]]
        bottom.errorbar(at, mean, deviation, marker="o", color=COLORS[2], capsize=4)
        bottom.set_xlabel(f"training ({chosen.unit})")
    axes[0, 0].set_ylabel("accuracy (fraction)")
    axes[0, 0].legend(loc="center right", fontsize=11)
    axes[1, 0].set_ylabel(label("llid"))
    axes[1, 0].set_ylim(bottom=0)
    save(figure, chosen.svg, chosen.png)


if __name__ == "__main__":
    cli.run(main)
