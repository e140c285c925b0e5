#!/usr/bin/env python
"""Plot ID against the number of points it is estimated from, a line a layer: a stable ID does not depend on it."""

import numpy as np
from actdim import cli
from actdim.figures import arguments, choose_panels, grid_of, label, of_all_samples, plt, save, settings_in
from actdim.tables.columns import ID_COLUMNS, IDS_OF_FEWER_POINTS
from actdim.tables.files import read_csv
from actdim.tables.rows import last_checkpoint


def main():
    chosen = arguments(__doc__, "id")
    rows = last_checkpoint(of_all_samples(read_csv(chosen.id, *ID_COLUMNS), chosen))
    figure, axes, placed = grid_of(choose_panels(rows, settings_in(rows)))
    depths = sorted(rows["depth"].unique())
    colors = dict(zip(depths, plt.get_cmap("viridis")(np.linspace(0, 0.9, len(depths))), strict=True))
    for axis, runs in placed:
        for (depth, layer), of_layer in runs.groupby(["depth", "layer"]):
            mean = of_layer[["id", *IDS_OF_FEWER_POINTS]].mean()
            deviation = of_layer[["id", *IDS_OF_FEWER_POINTS]].std().fillna(0)
            points = of_layer["n_points"].iloc[0] // np.array([1, 2, 4, 8])
            axis.errorbar(
                points, mean, deviation, marker="o", markersize=5, capsize=3, color=colors[depth], label=layer
            )
        axis.set_xscale("log", base=2)
        axis.set_xticks(points, [f"{count:,}" for count in points], rotation=45)
        axis.minorticks_off()
    for axis in axes[-1]:
        axis.set_xlabel("points")
    for axis in axes[:, 0]:
        axis.set_ylabel(label("id"))
    axes[0, 0].set_ylim(bottom=0)
    axes[0, 0].legend(fontsize=10)
    save(figure, chosen.svg, chosen.png)


if __name__ == "__main__":
    cli.run(main)
