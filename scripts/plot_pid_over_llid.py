#!/usr/bin/env python
"""Plot peak ID over last-layer ID against validation accuracy, a point for each setting, a marker for each sweep."""

from actdim import cli
from actdim.figures import MARKERS, correlation_text, label, parse_arguments, plt, save_figure, select_shown
from actdim.tables.columns import SUMMARY_COLUMNS, settings_in
from actdim.tables.correlations import correlate
from actdim.tables.files import read_csv
from actdim.tables.rows import last_checkpoint
from actdim.tables.sweeps import sweeps


def main():
    arguments = parse_arguments(__doc__, "summary")
    rows = last_checkpoint(select_shown(read_csv(arguments.summary, *SUMMARY_COLUMNS), arguments))
    settings = settings_in(rows)
    groups = [(label(name), [setting], runs) for name, setting, runs in sweeps(rows, settings)]
    groups = groups or [("all runs", [setting for setting in settings if setting != "seed"], rows)]
    figure, axis = plt.subplots(figsize=(6.4, 4.8))
    for (name, varied, runs), marker in zip(groups, MARKERS * len(groups), strict=False):
        seeds = runs.groupby(varied or "study")
        x, y = seeds["validation_accuracy"], seeds["pid_over_llid"]
        deviations = y.std().fillna(0), x.std().fillna(0)
        axis.errorbar(x.mean(), y.mean(), *deviations, marker=marker, linestyle="", capsize=3, label=name)
    axis.set_title(correlation_text(correlate(rows["pid_over_llid"], rows["validation_accuracy"])), fontsize=13)
    axis.set_xlabel(label("validation_accuracy"))
    axis.set_ylabel(label("pid_over_llid"))
    axis.legend(title="mean and standard deviation", title_fontsize=11, fontsize=11)
    save_figure(figure, arguments)


if __name__ == "__main__":
    cli.run(main)
