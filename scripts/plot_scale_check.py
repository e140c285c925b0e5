#!/usr/bin/env python
"""Plot ID against the number of points that it is estimated from, a line for each layer."""

import numpy as np
from actdim import cli
from actdim.figures import (
    choose_panels,
    label,
    make_panels,
    parse_arguments,
    plt,
    save_figure,
    select_shown,
)
from actdim.tables.columns import ID_COLUMNS, IDS_OF_FEWER_POINTS, settings_in
from actdim.tables.files import read_csv
from actdim.tables.rows import last_checkpoint


def main():
    arguments = parse_arguments(__doc__, "id")
    rows = last_checkpoint(select_shown(read_csv(arguments.id, *ID_COLUMNS, "n_points"), arguments))
    figure, axes, panels = make_panels(choose_panels(rows, settings_in(rows)))
    depths = sorted(rows["depth"].unique())
    colors = dict(zip(depths, plt.get_cmap("viridis")(np.linspace(0, 0.9, len(depths))), strict=True))
    for axis, runs in panels:
        for (depth, layer), estimates in runs.groupby(["depth", "layer"]):
            ids = estimates[["id", *IDS_OF_FEWER_POINTS]]
            mean, deviation = ids.mean(), ids.std().fillna(0)
            points = estimates["n_points"].iloc[0] // np.array([1, 2, 4, 8])
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
    save_figure(figure, arguments)


if __name__ == "__main__":
    cli.run(main)
