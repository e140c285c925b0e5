#!/usr/bin/env python
"""Plot last-layer ID against regularization strength, a panel a sweep."""

from actdim import errors
from actdim.figures import (
    arguments,
    correlation_text,
    label,
    over_seeds,
    plt,
    rows_of,
    save,
    settings_in,
    strength_axis,
)
from actdim.tables import correlate, last_checkpoint, read_csv, sweeps


def main():
    chosen = arguments(__doc__, "summary")
    rows = last_checkpoint(rows_of(read_csv(chosen.summary), study=chosen.study, estimator=chosen.estimator))
    panels = list(sweeps(rows, settings_in(rows)))
    if not panels:
        raise errors.UserError(f"study {chosen.study}: no sweep of a setting with three values or more to plot")
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
    errors.run(main)
