#!/usr/bin/env python
"""Plot ID over depth, a line for each checkpoint, for some settings of every sweep."""

import numpy as np
from actdim import cli
from actdim.figures import (
    choose_panels,
    label,
    make_panels,
    mean_over_seeds,
    parse_arguments,
    plt,
    save_figure,
    select_shown,
)
from actdim.tables.columns import ID_COLUMNS, settings_in
from actdim.tables.files import read_csv


def main():
    arguments = parse_arguments(__doc__, "id")
    rows = select_shown(read_csv(arguments.id, *ID_COLUMNS), arguments)
    figure, axes, panels = make_panels(choose_panels(rows, settings_in(rows)))
    checkpoints = sorted(rows["checkpoint"].unique())
    colors = plt.get_cmap("viridis")(np.linspace(0.1, 0.9, len(checkpoints))[::-1])
    layers = rows.groupby("depth")["layer"].first()
    for axis, runs in panels:
        for checkpoint, color in zip(checkpoints, colors, strict=True):
            depth, mean, deviation = mean_over_seeds(runs[runs["checkpoint"] == checkpoint], "depth", "id")
            axis.errorbar(
                depth, mean, deviation, marker="o", markersize=5, capsize=3, color=color, label=str(checkpoint)
            )
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
    axes[0, 0].legend(title=arguments.unit, fontsize=11, title_fontsize=11)
    save_figure(figure, arguments)


if __name__ == "__main__":
    cli.run(main)
