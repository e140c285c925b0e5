#!/usr/bin/env python
"""Plot how the measures correlate with generalization, ranked and with intervals, a row of panels for each study."""

from itertools import cycle
from textwrap import fill

from actdim import cli
from actdim.figures import COLORS, MARKERS, parse_arguments, plt, save_figure
from actdim.tables.columns import ALL_RUNS, PREDICTORS_COLUMNS, PREDICTORS_KEY, TARGETS
from actdim.tables.files import read_csv
from actdim.tables.measures import MEASURE_COLUMNS


def main():
    arguments = parse_arguments(__doc__, "predictors", of_study=False)
    table = read_csv(arguments.predictors, *PREDICTORS_COLUMNS, key=PREDICTORS_KEY)
    studies = dict(tuple(table.groupby("study", sort=False)))
    heights = [2.5 + rows.dropna(subset="spearman_r")["measure"].nunique() for rows in studies.values()]
    figure, axes = plt.subplots(
        len(studies),
        len(TARGETS),
        figsize=(15, 0.6 + 0.38 * sum(heights)),
        height_ratios=heights,
        sharex=True,
        squeeze=False,
    )
    for line, (study, rows) in zip(axes, studies.items(), strict=True):
        for axis, target in zip(line, TARGETS, strict=True):
            draw(axis, rows[rows["target"] == target])
            axis.set_title(f"{study}: {target.replace('_', ' ')}, {runs_text(rows)}", fontsize=13)
        if line[-1].get_legend_handles_labels()[0]:
            line[-1].legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=11)
    for axis in axes[-1]:
        axis.set_xlabel("Spearman's r")
    save_figure(figure, arguments)


def draw(axis, rows):
    """Draw the correlations of one study and target, the largest |r| at the top; measures without any are left out."""
    overall = rows[rows["sweep"] == ALL_RUNS].dropna(subset="spearman_r")
    overall = overall.sort_values("spearman_r", key=abs, kind="stable", ignore_index=True)
    axis.axvline(0, color="0.6", linewidth=1, zorder=0)
    axis.set_xlim(-1.05, 1.05)
    if overall.empty:
        axis.set_yticks([])
        axis.text(
            0.5,
            0.5,
            "no correlations",
            ha="center",
            va="center",
            transform=axis.transAxes,
            backgroundcolor="white",
        )
        return
    ends = overall[["spearman_low", "spearman_high"]].to_numpy().T
    axis.hlines(overall.index, *ends, color=COLORS[0])
    axis.plot(overall["spearman_r"], overall.index, "o", color=COLORS[0], label="all runs, 95 % interval")
    places = {measure: place for place, measure in enumerate(overall["measure"])}
    swept = within_sweeps(rows, overall).groupby("sweep", sort=False)
    for (sweep, correlations), marker in zip(swept, cycle(MARKERS[1:])):
        below = correlations["measure"].map(places) - 0.3
        axis.plot(
            correlations["spearman_r"], below, marker, color="0.65", markersize=5, label=fill(f"within {sweep}", 32)
        )
    axis.set_yticks(overall.index, overall["measure"].map(MEASURE_COLUMNS))
    axis.set_ylim(-0.8, len(overall) - 0.4)


def within_sweeps(rows, overall):
    """Return the correlations within sweeps of some of the runs, not of all."""
    within = rows[rows["sweep"] != ALL_RUNS].dropna(subset="spearman_r")
    return within[within["n"] < within["measure"].map(overall.set_index("measure")["n"])]


def runs_text(rows):
    """Return the number of runs behind the correlations of a study, as text."""
    counts = rows.loc[rows["sweep"] == ALL_RUNS, "n"]
    counts = counts[counts > 0]
    return f"{counts.min()} to {counts.max()} runs" if counts.nunique() > 1 else f"{counts.max()} runs"


if __name__ == "__main__":
    cli.run(main)
