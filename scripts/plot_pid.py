#!/usr/bin/env python
"""Plot peak ID against regularization strength, colored by validation accuracy, with over-regularized models marked."""

import numpy as np
from actdim import cli
from actdim.figures import label, mean_over_seeds, parse_arguments, plt, read_sweeps, save_figure, strength_axis


def main():
    arguments = parse_arguments(__doc__, "summary")
    rows, sweeps = read_sweeps(arguments)
    figure, axes = plt.subplots(1, len(sweeps), figsize=(2.2 + 4.2 * len(sweeps), 4.4), sharey=True, squeeze=False)
    accuracies = rows.validation_accuracy.dropna()
    colors = plt.Normalize(accuracies.min(), accuracies.max()) if len(accuracies) else plt.Normalize(0, 1)
    for axis, (name, setting, runs) in zip(axes[0], sweeps, strict=True):
        position = strength_axis(axis, setting, runs[setting])
        strength, mean, deviation = mean_over_seeds(runs, setting, "pid")
        axis.errorbar(position(strength), mean, deviation, color="0.6", capsize=4, zorder=1)
        accuracy = runs.dropna(subset=["pid"]).groupby(setting)["validation_accuracy"].mean().to_numpy()
        look = {"norm": colors, "cmap": plt.get_cmap("cividis").with_extremes(bad="white"), "plotnonfinite": True}
        points = axis.scatter(position(strength), mean, c=accuracy, s=90, edgecolors="black", zorder=2, **look)
        mark_over_regularized(axis, position(strength), accuracy)
        axis.set_title(label(name), fontsize=13)
    axes[0, 0].set_ylabel(label("pid"))
    axes[0, 0].set_ylim(bottom=0)
    if len(accuracies):
        figure.colorbar(points, ax=axes, label=label("validation_accuracy"))
    save_figure(figure, arguments)


def mark_over_regularized(axis, positions, accuracy):
    """Shade the strengths beyond the one with the best mean validation accuracy."""
    if len(accuracy) == 0 or not np.isfinite(accuracy).all() or accuracy.argmax() == len(accuracy) - 1:
        return
    best = accuracy.argmax()
    axis.axvspan(positions[best], positions[-1], color="0.9", zorder=0)
    middle = (
        (positions[best] * positions[-1]) ** 0.5
        if axis.get_xscale() == "log"
        else ((positions[best] + positions[-1]) / 2)
    )
    axis.text(
        middle, 0.02, "over-\nregularized", ha="center", va="bottom", fontsize=11, transform=axis.get_xaxis_transform()
    )


if __name__ == "__main__":
    cli.run(main)
