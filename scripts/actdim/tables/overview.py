"""What was found, study by study, as the reStructuredText with which Snakemake's report opens."""

import base64
import re
import textwrap

import numpy as np

from actdim.tables.columns import ALL_RUNS, settings_in
from actdim.tables.correlations import correlate
from actdim.tables.findings import over_all_runs
from actdim.tables.rows import last_checkpoint, shown_split
from actdim.tables.sweeps import combinations, sweeps, value_text


def overview(summary, predictors, estimator, figures):
    """Return a section for each study: a figure, its LLID over each sweep or over training, and what predicts accuracy.

    summary, predictors: the tables; estimator: whose LLID to tell; figures: {study: path of an SVG}.
    """
    sections = []
    for study, rows in summary[summary["estimator"] == estimator].groupby("study", sort=False):
        rows = shown_split(rows)
        image = [embedded(figures[study]), ""] if study in figures else []
        items = [*sweep_items(rows), *predictor_items(predictors[predictors["study"] == study])]
        sections += [escape(study), "-" * len(escape(study)), "", *image, *(f"- {escape(item)}" for item in items), ""]
    return "\n".join(sections)


def embedded(figure):
    """Return the directive for an SVG that holds the image itself, because a report is one file."""
    content = base64.encodebytes(figure.read_bytes()).decode()  # in lines, because docutils limits their length
    return f".. image:: data:image/svg+xml;base64,\n{textwrap.indent(content, '   ')}   :width: 100%"


def sweep_items(rows):
    """Return a sentence for each sweep on its two ends; without sweeps, one for each setting on its training."""
    settings = settings_in(rows)
    ends = [sweep_item(name, key, runs) for name, key, runs in sweeps(last_checkpoint(rows), settings)]
    return ends or [training_item(name, select(rows)) for name, select in combinations(rows, settings)]


def sweep_item(name, key, runs):
    """Return the sentence on the two ends of a sweep."""
    means = runs.groupby(key)["llid"].mean()
    ends = [f"{number(means[value])} at {value_text(value)}" for value in (means.index.min(), means.index.max())]
    correlation = correlate(runs[key], runs["llid"])
    return (
        f"{words(name)}: mean last-layer ID {' and '.join(ends)};"
        f" Spearman's r = {number(correlation['spearman_r'], 2)} over {correlation['n']} runs."
    )


def training_item(name, runs):
    """Return the sentence on the first and the last checkpoint of runs that differ in their seed alone."""
    means = runs.groupby("checkpoint")[["llid", "validation_accuracy"]].mean()
    ends = " and ".join(
        f"{number(row.llid)} at {row.Index} (validation accuracy {number(row.validation_accuracy, 2)})"
        for row in means.iloc[[0, -1] if len(means) > 1 else [0]].itertuples()
    )
    return f"{words(name)}: mean last-layer ID {ends}."


def predictor_items(predictors):
    """Return what the intervals of a study show of measures and validation accuracy."""
    rows = predictors[(predictors["target"] == "validation_accuracy") & (predictors["sweep"] == ALL_RUNS)]
    rows = rows[rows["spearman_low"].notna()].set_index("measure")
    return [f"Validation accuracy: {' '.join(over_all_runs(rows))}"] if len(rows) else []


def words(name):
    """Return a name that starts a sentence, with spaces for underscores."""
    return name[0].upper() + name[1:].replace("_", " ")


def number(value, digits=1):
    """Return a number for a sentence; a missing one as "no value"."""
    return "no value" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def escape(text):
    """Return a text as reStructuredText that shows it."""
    return re.sub(r"([\\*`|_])", r"\\\1", text)
