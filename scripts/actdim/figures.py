"""What figures share: command line, style, labels, rows to show, axes of regularization strength, means over seeds."""

import argparse
import io
from itertools import product
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

from actdim.errors import UserError
from actdim.storage.atomic import atomic_write
from actdim.tables.columns import SUMMARY_COLUMNS, settings_in
from actdim.tables.files import read_csv
from actdim.tables.measures import MEASURE_COLUMNS
from actdim.tables.rows import last_checkpoint, shown_split
from actdim.tables.sweeps import combinations, sweeps

matplotlib.use("Agg")

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito, colorblind-safe
NO_ENVIRONMENT = "too few pairs of runs whose order is sure"  # for sign errors
MARKERS = ["o", "^", "s", "D", "v", "P"]
MOST_PANELS = 4  # of a sweep, from its weakest setting to its strongest
LARGEST_RATIO = 20  # of regularization strengths on a linear axis

LABELS = {
    "llid": "last-layer ID (dimensions)",
    "pid": "peak ID (dimensions)",
    "pid_over_llid": "peak ID / last-layer ID",
    "id": "ID (dimensions)",
    "validation_accuracy": "validation accuracy (fraction)",
}

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


def parse_arguments(description, *tables, of_study=True):
    """Return the command line of a figure's program: its tables, the outputs and, of_study, the study and estimator."""
    parser = argparse.ArgumentParser(description=description)
    for table in tables:
        parser.add_argument(f"--{table}", required=True, type=Path, help=f"the table {table}.csv")
    if of_study:
        parser.add_argument("--study", required=True, help="the study to show")
        parser.add_argument("--estimator", required=True, help="the estimator to show")
        parser.add_argument("--unit", default="epochs", help="epochs or steps, for labels (default: epochs)")
    parser.add_argument("--svg", required=True, type=Path, help="the figure as SVG")
    parser.add_argument("--png", required=True, type=Path, help="the figure as PNG")
    return parser.parse_args()


def select_rows(table, **values):
    """Return the rows of a table in which columns have the given values; UserError where there are none."""
    for column, value in values.items():
        table = table[table[column] == value]
    if table.empty:
        raise UserError(f"no rows with {', '.join(f'{column} {value}' for column, value in values.items())}")
    return table


def select_shown(table, arguments):
    """Return the rows of a study and an estimator that figures show: of one split, and of all classes together."""
    rows = select_rows(table, study=arguments.study, estimator=arguments.estimator)
    if "class" in rows:
        rows = rows[rows["class"].isna()]
    return shown_split(rows)


def read_sweeps(arguments):
    """Return (the study's rows of the summary at its last checkpoint, its sweeps); UserError where it has none."""
    rows = last_checkpoint(select_shown(read_csv(arguments.summary, *SUMMARY_COLUMNS), arguments))
    sweeps_of_study = sweeps(rows, settings_in(rows))
    if not sweeps_of_study:
        raise UserError(f"study {arguments.study}: no sweep of a setting with three values or more to plot")
    return rows, sweeps_of_study


def choose_panels(rows, settings):
    """Return [[(title, runs)]]: a line of panels for each sweep, from its weakest setting to its strongest.

    Without sweeps it is one line of all settings.
    """
    lines = []
    for _, setting, runs in sweeps(rows, settings):
        values = np.sort(runs[setting].unique())
        shown = values[np.unique(np.linspace(0, len(values) - 1, MOST_PANELS).round().astype(int))]
        lines.append([(f"{label(setting)} {value:g}", runs[runs[setting] == value]) for value in shown])
    return lines or [[(name, select(rows)) for name, select in combinations(rows, settings)]]


def make_panels(lines):
    """Return (figure, axes, [(axis, runs)]): axes with titles and common scales for what choose_panels returns."""
    columns = max(map(len, lines))
    figure, axes = plt.subplots(
        len(lines),
        columns,
        figsize=(1 + 3.3 * columns, 0.8 + 3.2 * len(lines)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    panels = []
    for line_axes, line in zip(axes, lines, strict=True):
        for axis, (title, runs) in zip(line_axes, line, strict=False):
            axis.set_title(title, fontsize=13)
            panels.append((axis, runs))
        for axis in line_axes[len(line) :]:
            axis.set_visible(False)
    return figure, axes, panels


def study_panels(rows, table):
    """Return (figure, [(axis, rows)]): a titled panel for each study (in rows) and target (in columns) of a table.

    rows: what to draw, with columns study, target and measure; a panel is as high as its study has measures in them.
    """
    studies, targets = (list(dict.fromkeys(table[column])) for column in ("study", "target"))
    heights = [2.5 + max(1, rows.loc[rows["study"] == study, "measure"].nunique()) for study in studies]
    figure, axes = plt.subplots(
        len(studies),
        len(targets),
        figsize=(1 + 7.5 * len(targets), 0.6 + 0.4 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
    )
    panels = []
    for place, (study, target) in enumerate(product(studies, targets)):
        axis = axes.flat[place]
        axis.set_title(f"{study}: {target.replace('_', ' ')}", fontsize=13)
        panels.append((axis, rows[(rows["study"] == study) & (rows["target"] == target)]))
    return figure, panels


def write_in_panel(axis, text):
    """Write in a panel why nothing is drawn there."""
    axis.set_yticks([])
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)


def save_figure(figure, arguments):
    """Write the figure as SVG and as PNG, each atomically."""
    for path, options in ((arguments.svg, {"metadata": {"Date": None}}), (arguments.png, {"dpi": 160})):
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:], **options)
        with atomic_write(path, content.tell()) as temporary:
            temporary.write_bytes(content.getvalue())


def mean_over_seeds(rows, x, y):
    """Return (x values, mean of y, standard deviation of y over the runs of each x; 0 for a single run)."""
    groups = rows.dropna(subset=[y]).groupby(x)[y]
    return groups.mean().index.to_numpy(), groups.mean().to_numpy(), groups.std().fillna(0).to_numpy()


def strength_axis(axis, setting, values):
    """Prepare the x axis for a regularization strength; return the function from strengths to positions.

    Strengths that span more than a factor of 20 are logarithmic, with 0 set apart at the left.
    """
    values = np.unique(values)
    positive = values[values > 0]
    axis.set_xlabel(label(setting))
    if len(positive) < 2 or positive.max() / positive.min() <= LARGEST_RATIO:
        return np.asarray
    zero = positive.min() / 4
    axis.set_xscale("log")
    decades = 10.0 ** np.arange(np.ceil(np.log10(positive.min())), np.floor(np.log10(positive.max())) + 1)
    ticks = {zero: "0"} if 0 in values else {}
    ticks |= {decade: f"$10^{{{round(np.log10(decade))}}}$" for decade in decades}
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.minorticks_off()
    return lambda strengths: np.where(np.asarray(strengths) == 0, zero, strengths)


def label(name):
    """Return a column's name for a reader, with its unit where it has one."""
    return LABELS.get(name, name.replace("_", " "))


def measure_label(name):
    """Return the name of a measure's column as a reader would say it."""
    return MEASURE_COLUMNS.get(name, name.replace("_", " "))


def correlation_text(correlation):
    """Return what `correlate` returns as a panel's title."""
    r, n = correlation["spearman_r"], correlation["n"]
    return f"Spearman r = {r:.2f}, {n} runs" if r is not None and np.isfinite(r) else f"{n} runs"
