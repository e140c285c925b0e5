#!/usr/bin/env python
"""Plot how often each measure orders two networks rightly where it does worst, measures by rank, for each study."""

from actdim import cli
from actdim.figures import (
    COLORS,
    NO_ENVIRONMENT,
    measure_label,
    parse_arguments,
    save_figure,
    study_panels,
    write_in_panel,
)
from actdim.tables.columns import COIN
from actdim.tables.files import read_csv
from matplotlib.patches import Patch

READ = ("study", "measure", "target", "sign_error_max", "sign_error_max_low", "sign_error_max_high", "sign_error_worst")
MEANINGS = {"better than a coin wherever settings change": COLORS[0], "no better than a coin somewhere": COLORS[1]}


def main():
    arguments = parse_arguments(__doc__, "generalization", of_study=False)
    table = read_csv(arguments.generalization, *READ)
    figure, panels = study_panels(table.dropna(subset="sign_error_max"), table)
    for axis, rows in panels:
        draw(axis, rows)
    bars = [Patch(color=color, label=label) for label, color in MEANINGS.items()]
    figure.legend(handles=bars, loc="outside upper left", ncols=2, fontsize=11)
    save_figure(figure, arguments)


def draw(axis, rows):
    """Draw the measures of one study and target, the most robust at the top."""
    axis.set_xlim(0, 100)
    if rows.empty:
        write_in_panel(axis, NO_ENVIRONMENT)
        return
    rows = rows.sort_values("sign_error_max", ascending=False, kind="stable", ignore_index=True)
    right = 100 * (1 - rows["sign_error_max"])
    better = right > 100 * COIN
    axis.barh(rows.index[better], right[better], color=COLORS[0])
    axis.barh(rows.index[~better], right[~better], color=COLORS[1])
    low, high = (100 * (1 - rows[f"sign_error_max_{end}"]) for end in ("high", "low"))
    axis.hlines(rows.index, low, high, color="black", linewidth=1)
    axis.axvline(100 * COIN, color="black", linewidth=1, linestyle=(0, (4, 2)))
    for place, worst in rows["sign_error_worst"].items():
        axis.text(103, place, worst, va="center", fontsize=10, color="0.4")
    axis.set_yticks(rows.index, [measure_label(measure) for measure in rows["measure"]])
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.set_xlabel("pairs of networks ordered rightly,\nwhere the measure does worst (%)")


if __name__ == "__main__":
    cli.run(main)
