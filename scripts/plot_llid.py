#!/usr/bin/env python
"""Plot last-layer ID against regularization strength, a panel for each sweep."""

from actdim import cli
from actdim.figures import (
    correlation_text,
    label,
    mean_over_seeds,
    parse_arguments,
    plt,
    read_sweeps,
    save_figure,
    strength_axis,
)
from actdim.tables.correlations import correlate


def main():
    arguments = parse_arguments(__doc__, "summary")
    _, sweeps = read_sweeps(arguments)
    figure, axes = plt.subplots(1, len(sweeps), figsize=(1 + 4.2 * len(sweeps), 4.2), sharey=True, squeeze=False)
    for axis, (name, setting, runs) in zip(axes[0], sweeps, strict=True):
        position = strength_axis(axis, setting, runs[setting])
        strength, mean, deviation = mean_over_seeds(runs, setting, "llid")
        axis.errorbar(position(strength), mean, deviation, marker="o", capsize=4, label="mean and standard deviation")
        axis.plot(position(runs[setting]), runs["llid"], "x", color="black", markersize=6, label="single runs")
        correlation = correlate(runs[setting], runs["llid"])
        axis.set_title(f"{label(name)}\n{correlation_text(correlation)}", fontsize=13)
    axes[0, 0].set_ylabel(label("llid"))
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].legend(loc="lower left", fontsize=11)
    save_figure(figure, arguments)


if __name__ == "__main__":
    cli.run(main)
