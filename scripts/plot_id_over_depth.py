#!/usr/bin/env python
"""Plot ID over depth, a line a checkpoint, for a few settings of every sweep."""

import numpy as np
from actdim import cli
from actdim.figures import arguments, choose_panels, grid_of, label, of_all_samples, over_seeds, plt, save, settings_in
from actdim.tables.columns import ID_COLUMNS
from actdim.tables.files import read_csv


def main():
    chosen = arguments(__doc__, "id")
    rows = of_all_samples(read_csv(chosen.id, *ID_COLUMNS), chosen)
    settings = settings_in(rows)
    figure, axes, placed = grid_of(choose_panels(rows, settings))
    checkpoints = sorted(rows["checkpoint"].unique())
    colors = plt.get_cmap("viridis")(np.linspace(0.1, 0.9, len(checkpoints))[::-1])
    layers = rows.groupby("depth")["layer"].first()
    for axis, runs in placed:
        for at, color in zip(checkpoints, colors, strict=True):
            depth, mean, deviation = over_seeds(runs[runs["checkpoint"] == at], "depth", "id")
            axis.errorbar(depth, mean, deviation, marker="o", markersize=5, capsize=3, color=color, label=str(at))
        axis.set_xticks(
            layers.index,
            [layer.replace("blocks.", "block ") for layer in layers],
            rotation=60,
            ha="right",
            rotation_mode="anchor",
            fontsize=11,
        )
    for axis in axes[:, 0]:
        axis.set_ylabel(label("id"))
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].legend(title=chosen.unit, fontsize=11, title_fontsize=11)
    save(figure, chosen.svg, chosen.png)


if __name__ == "__main__":
    cli.run(main)
