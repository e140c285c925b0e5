#!/usr/bin/env python
"""Plot peak ID over last-layer ID against validation accuracy, a point a setting, a marker a sweep."""

from actdim import cli
from actdim.figures import MARKERS, arguments, correlation_text, label, of_all_samples, plt, save, settings_in
from actdim.tables.columns import SUMMARY_COLUMNS
from actdim.tables.correlations import correlate
from actdim.tables.files import read_csv
from actdim.tables.rows import last_checkpoint
from actdim.tables.sweeps import sweeps


def main():
    chosen = arguments(__doc__, "summary")
    rows = last_checkpoint(of_all_samples(read_csv(chosen.summary, *SUMMARY_COLUMNS), chosen))
    settings = settings_in(rows)
    figure, axis = plt.subplots(figsize=(6.4, 4.8))
    groups = [(label(name), key, runs) for name, key, runs in sweeps(rows, settings)] or [("all runs", None, rows)]
    for (name, key, runs), marker in zip(groups, MARKERS * len(groups), strict=False):
        same = runs.groupby(key or [other for other in settings if other != "seed"])
        x, y = same["validation_accuracy"], same["pid_over_llid"]
        axis.errorbar(
            x.mean(), y.mean(), y.std().fillna(0), x.std().fillna(0), marker=marker, linestyle="", capsize=3, label=name
        )
    correlation = correlate(rows["pid_over_llid"], rows["validation_accuracy"])
    axis.set_title(correlation_text(correlation["spearman_r"], correlation["n"]), fontsize=13)
    axis.set_xlabel(label("validation_accuracy"))
    axis.set_ylabel(label("pid_over_llid"))
    axis.legend(title="mean and std of", title_fontsize=11, fontsize=11)
    save(figure, chosen.svg, chosen.png)


if __name__ == "__main__":
    cli.run(main)
