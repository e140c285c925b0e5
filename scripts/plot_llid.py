#!/usr/bin/env python
"""Plot last-layer ID against regularization strength, a panel a sweep."""

from actdim import cli
from actdim.figures import arguments, at_the_end, correlation_text, label, over_seeds, plt, save, strength_axis
from actdim.tables.correlations import correlate


def main():
    chosen = arguments(__doc__, "summary")
    _, panels = at_the_end(chosen)
    figure, axes = plt.subplots(1, len(panels), figsize=(1 + 4.2 * len(panels), 4.2), sharey=True, squeeze=False)
    for axis, (name, key, runs) in zip(axes[0], panels, strict=True):
        place = strength_axis(axis, key, runs[key])
        strength, mean, deviation = over_seeds(runs, key, "llid")
        axis.errorbar(place(strength), mean, deviation, marker="o", capsize=4, label="mean and standard deviation")
        axis.plot(place(runs[key]), runs["llid"], "x", color="black", markersize=6, label="single runs")
        correlation = correlate(runs[key], runs["llid"])
        axis.set_title(f"{label(name)}\n{correlation_text(correlation['spearman_r'], correlation['n'])}", fontsize=13)
    axes[0, 0].set_ylabel(label("llid"))
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].legend(loc="lower left", fontsize=11)
    save(figure, chosen.svg, chosen.png)


if __name__ == "__main__":
    cli.run(main)
