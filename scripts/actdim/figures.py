"""What the figures share: style, labels, axes of regularization strength, means over seeds."""

import argparse
import io
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from actdim.errors import UserError
from actdim.storage.atomic import atomic_write
from actdim.tables.columns import SUMMARY_COLUMNS, settings_in
from actdim.tables.files import read_csv
from actdim.tables.rows import last_checkpoint, shown_split
from actdim.tables.sweeps import combinations, sweeps

matplotlib.use("Agg")


COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito, colorblind-safe


SHOWN = 4  # panels of a sweep, from its weakest to its strongest


MARKERS = ["o", "^", "s", "D", "v", "P"]


plt.rcParams.update(
    {
        "font.size": 13,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": plt.cycler(color=COLORS),
        "figure.constrained_layout.use": True,
        "lines.linewidth": 2,
        "lines.markersize": 7,
        "legend.frameon": False,
        "svg.hashsalt": "actdim",  # the same figure gives the same file
    }
)


def arguments(description, *tables):
    """Return the parsed command line of a figure's program: its tables, the study, the estimator, the outputs."""
    parser = argparse.ArgumentParser(description=description)
    for table in tables:
        parser.add_argument(f"--{table}", required=True, type=Path, help=f"the table {table}.csv")
    parser.add_argument("--study", required=True)
    parser.add_argument("--estimator", required=True)
    parser.add_argument("--unit", default="epochs", help="epochs or steps, for labels (default: epochs)")
    parser.add_argument("--svg", required=True, type=Path, help="the figure as SVG")
    parser.add_argument("--png", required=True, type=Path, help="the figure as PNG")
    return parser.parse_args()


def rows_of(table, **values):
    """Return the rows of a table in which columns have the given values; UserError where there are none."""
    for column, value in values.items():
        table = table[table[column] == value]
    if table.empty:
        raise UserError(f"no rows with {', '.join(f'{column} {value}' for column, value in values.items())}")
    return table


def of_all_samples(table, chosen):
    """Return the rows of a study and an estimator that figures show: not by class, of the validation split if any."""
    rows = rows_of(table, study=chosen.study, estimator=chosen.estimator)
    if "class" in rows:
        rows = rows[rows["class"].isna()]
    return shown_split(rows)


def at_the_end(chosen):
    """Return (the study's rows of the summary at its last checkpoint, its sweeps); UserError where it has none."""
    rows = last_checkpoint(of_all_samples(read_csv(chosen.summary, *SUMMARY_COLUMNS), chosen))
    panels = list(sweeps(rows, settings_in(rows)))
    if not panels:
        raise UserError(f"study {chosen.study}: no sweep of a setting with three values or more to plot")
    return rows, panels


def choose_panels(rows, settings):
    """Return rows of (name, runs): for each sweep a few settings from its weakest to its strongest, or else all."""
    lines = []
    for _, key, runs in sweeps(rows, settings):
        values = np.sort(runs[key].unique())
        few = values[np.unique(np.linspace(0, len(values) - 1, SHOWN).round().astype(int))]
        lines.append([(f"{label(key)} {value:g}", runs[runs[key] == value]) for value in few])
    return lines or [[(name, select(rows)) for name, select in combinations(rows, settings)]]


def grid_of(panels):
    """Return (figure, axes, [(axis, runs)]): titled axes that share their scales, for the rows of choose_panels."""
    lines, columns = len(panels), max(map(len, panels))
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(1 + 3.3 * columns, 0.8 + 3.2 * lines),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    placed = []
    for line, row in zip(axes, panels, strict=True):
        for axis, (name, runs) in zip(line, row, strict=False):
            axis.set_title(name, fontsize=13)
            placed.append((axis, runs))
        for axis in line[len(row) :]:
            axis.set_visible(False)
    return figure, axes, placed


def save(figure, svg, png):
    """Write the figure as SVG and as PNG, each whole or not at all."""
    for path, options in ((svg, {"metadata": {"Date": None}}), (png, {"dpi": 160})):
        drawn = io.BytesIO()
        figure.savefig(drawn, format=path.suffix[1:], **options)
        with atomic_write(path, drawn.tell()) as beside:
            beside.write_bytes(drawn.getvalue())


def over_seeds(rows, x, y):
    """Return (x values, mean of y, standard deviation of y over the runs of each x; 0 for a single run)."""
    groups = rows.dropna(subset=[y]).groupby(x)[y]
    return groups.mean().index.to_numpy(), groups.mean().to_numpy(), groups.std().fillna(0).to_numpy()


def strength_axis(axis, key, values):
    """Prepare the x axis for a regularization strength; return the function from strengths to positions.

    Strengths that span more than a factor of 20 are logarithmic, with 0 set apart at the left.
    """
    values = np.unique(values)
    positive = values[values > 0]
    axis.set_xlabel(label(key))
    if len(positive) < 2 or positive.max() / positive.min() <= 20:
        return np.asarray
    zero = positive.min() / 4
    axis.set_xscale("log")
    decades = 10.0 ** np.arange(np.ceil(np.log10(positive.min())), np.floor(np.log10(positive.max())) + 1)
    ticks = {**({zero: "0"} if 0 in values else {}), **{at: f"$10^{{{round(np.log10(at))}}}$" for at in decades}}
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.minorticks_off()
    return lambda strengths: np.where(np.asarray(strengths) == 0, zero, strengths)


def label(name):
    """Return a column's name as a reader would say it, with its unit where it has one."""
    known = {
        "llid": "last-layer ID (dimensions)",
        "pid": "peak ID (dimensions)",
        "pid_over_llid": "peak ID / last-layer ID",
        "id": "ID (dimensions)",
        "validation_accuracy": "validation accuracy (fraction)",
    }
    return known.get(name, name.replace("_", " "))


def correlation_text(r, n):
    """Return a correlation for a panel's title."""
    return f"Spearman r = {r:.2f}, {n} runs" if n >= 3 and r is not None and np.isfinite(r) else f"{n} runs"
