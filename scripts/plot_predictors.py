#!/usr/bin/env python
"""Plot how each measure goes with generalization: the measures ranked, with intervals, a row of panels a study."""

import argparse
from itertools import cycle
from pathlib import Path
from textwrap import fill

from actdim import cli
from actdim.figures import COLORS, MARKERS, plt, save
from actdim.tables.columns import ALL_RUNS
from actdim.tables.files import read_csv
from actdim.tables.measures import MEASURE_COLUMNS
from actdim.tables.predictors import TARGETS

READ = ("study", "sweep", "measure", "target", "n", "spearman_r", "spearman_low", "spearman_high")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictors", required=True, type=Path, help="the table predictors.csv")
    parser.add_argument("--svg", required=True, type=Path, help="the figure as SVG")
    parser.add_argument("--png", required=True, type=Path, help="the figure as PNG")
    arguments = parser.parse_args()

    table = read_csv(arguments.predictors, *READ)
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
    save(figure, arguments.svg, arguments.png)


def draw(axis, rows):
    """Draw the measures of one study and target, the largest |r| at the top; those without a value are left out."""
    overall = rows[rows["sweep"] == ALL_RUNS].dropna(subset="spearman_r")
    overall = overall.sort_values("spearman_r", key=abs, kind="stable", ignore_index=True)
    axis.axvline(0, color="0.6", linewidth=1, zorder=0)
    axis.set_xlim(-1.05, 1.05)
    if overall.empty:
        axis.set_yticks([])
        axis.text(
            0.5,
            0.5,
            "nothing to correlate",
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
    for (sweep, some), marker in zip(parts(rows, overall).groupby("sweep", sort=False), cycle(MARKERS[1:])):
        below = some["measure"].map(places) - 0.3
        axis.plot(some["spearman_r"], below, marker, color="0.65", markersize=5, label=fill(f"within {sweep}", 32))
    axis.set_yticks(overall.index, overall["measure"].map(MEASURE_COLUMNS))
    axis.set_ylim(-0.8, len(overall) - 0.4)


def parts(rows, overall):
    """Return the correlations within the sweeps that are a part of the runs, not all of them."""
    within = rows[rows["sweep"] != ALL_RUNS].dropna(subset="spearman_r")
    return within[within["n"] < within["measure"].map(overall.set_index("measure")["n"])]


def runs_text(rows):
    """Return how many runs the correlations of a study rest on."""
    counts = rows.loc[rows["sweep"] == ALL_RUNS, "n"]
    counts = counts[counts > 0]
    return f"{counts.min()} to {counts.max()} runs" if counts.nunique() > 1 else f"{counts.max()} runs"


if __name__ == "__main__":
    cli.run(main)
