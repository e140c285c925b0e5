#!/usr/bin/env python
"""Plot the sign errors of each measure over environments, with their mean and their worst, in panels for each study."""

from actdim import cli
from actdim.figures import (
    COLORS,
    MARKERS,
    NO_ENVIRONMENT,
    measure_label,
    parse_arguments,
    save_figure,
    study_panels,
    write_in_panel,
)
from actdim.tables.columns import COIN
from actdim.tables.files import read_csv

READ = ("study", "measure", "target", "axis", "sign_error")


def main():
    arguments = parse_arguments(__doc__, "generalization_environments", "generalization", of_study=False)
    environments = read_csv(arguments.generalization_environments, *READ, may_be_empty=True)
    table = read_csv(arguments.generalization, "study", "target")
    figure, panels = study_panels(environments, table)
    for axis, rows in panels:
        draw(axis, rows)
        if rows["target"].eq(table["target"].iloc[-1]).any():  # the last panel of a row
            axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=11)
    save_figure(figure, arguments)


def draw(axis, rows):
    """Draw each environment of the measures of one study and target, the smallest mean error at the top."""
    axis.set_xlim(-0.02, 1.02)
    if rows.empty:
        write_in_panel(axis, NO_ENVIRONMENT)
        return
    axis.axvline(COIN, color="0.6", linewidth=1, zorder=0)
    errors = rows.groupby("measure", sort=False)["sign_error"]
    order = errors.mean().sort_values(ascending=False, kind="stable").index
    places = {measure: place for place, measure in enumerate(order)}
    varied = list(dict.fromkeys(rows["axis"]))
    for number, name in enumerate(varied):
        of_axis = rows[rows["axis"] == name]
        heights = of_axis["measure"].map(places) + 0.5 * ((number + 0.5) / len(varied) - 0.5)
        marker, color = MARKERS[number % len(MARKERS)], COLORS[number % len(COLORS)]
        axis.plot(
            of_axis["sign_error"], heights, marker, color=color, markersize=5, alpha=0.5, linestyle="", label=name
        )
    ends = [[place + side for place in places.values()] for side in (-0.4, 0.4)]
    axis.vlines(errors.mean()[order], *ends, color="black", linewidth=3, label="mean")
    axis.vlines(errors.max()[order], *ends, color="black", linewidth=1, linestyle=(0, (2, 1)), label="worst")
    axis.set_yticks(list(places.values()), [measure_label(measure) for measure in places])
    axis.set_ylim(-0.7, len(places) - 0.3)
    axis.set_xlabel("sign error (0.5: a coin)")


if __name__ == "__main__":
    cli.run(main)
