"""A study of own activations: its runs follow from the files that are there, and nothing is trained.

`files` names them with wildcards. {layer}, {at} (an epoch or step) and {split} tell the files of a run apart; all
others, and {seed}, tell the runs apart. Every run has all layers at the same checkpoints and of the same splits.
"""

import csv
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from actdim.activations.array_files import ENDINGS, list_arrays, only_array, require_points
from actdim.activations.imported import read_labels
from actdim.errors import UserError
from actdim.measures.table import MEASURES
from actdim.names import INPUT
from actdim.storage.watched_files import files_below
from actdim.study.own_run import OwnFiles, OwnRun, Shapes
from actdim.study.runs import Run, run_name
from actdim.study.yaml_files import value_of_text
from actdim.validation import hint

WILDCARD = re.compile(r"\{\s*(\w+)\s*(?:,\s*((?:[^{}]+|\{\d+(?:,\d*)?\})*))?\}")
FILE_WILDCARDS = ("layer", "at", "split")  # wildcards that are no settings of a run
SPLITS = ("validation", "train")
METRICS = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")
COLUMNS = (  # of the tables, which no setting may have
    *("study", "checkpoint", "estimator", "depth", "class", "reason", "generalization_gap", "weight_norm", *METRICS),
    *("id", "low", "high", "n_points", "n_dropped", "recall", "recall_k", "n_copies"),
    *("llid", "llid_low", "llid_high", "pid", "pid_layer", "pid_over_llid"),
    *(column for measure in MEASURES.values() for column in measure.columns),
)
SHOWN = 5  # names in a message


class Match(NamedTuple):
    """A file that a pattern matches, and the texts of its wildcards."""

    path: str
    wildcards: dict[str, str]


class FilesOfRun(NamedTuple):
    """The files of a run, before it is known what they hold."""

    chosen: dict[str, Any]  # the settings of the run and its seed
    texts: dict[str, str]  # of the wildcards that are settings
    paths: dict[tuple[int, str], dict[str | None, str]]  # {(checkpoint, split): {layer: path}}; None: all layers


def own_runs(study, activations, where):
    """Return ({name: Run}, checkpoints, splits) of the OwnActivations of a study. Raises UserError."""
    matches = find_files(activations, f"{where}: activations.files")
    metrics = read_metrics(activations.metrics, matches, where) if activations.metrics else {}
    by_run = group_by_run(matches, where)
    checkpoints = sorted({at for run in by_run.values() for at, _ in run.paths})
    splits = [split for split in SPLITS if any(split == other for run in by_run.values() for _, other in run.paths)]
    places = [(at, split) for at in checkpoints for split in splits]
    labels = {
        (name, *place): labels_path(activations.labels, run.texts, place, where)
        for name, run in by_run.items()
        for place in places
    }
    values = {path: read_labels(labels_array(path)) for path in dict.fromkeys(labels.values()) if path}
    names = class_names(values, where)
    runs = {}
    for name, run in by_run.items():
        files, shapes = {}, Shapes({}, {}, 0, None)
        for at, split in places:
            place = f"{where}: activations.files: {name} at {at}, {split}"
            paths, path_of_labels = run.paths.get((at, split), {}), labels[name, at, split]
            arrays = arrays_of(paths, activations.layers, place)
            shapes = joined(shapes, arrays, split, values.get(path_of_labels), place)
            files[sample_set(at, split)] = OwnFiles(
                layers={layer: array.path for layer, array in arrays.items()},
                labels=path_of_labels,
                metrics=metrics.get(next(iter(paths.values())), {}),
            )
        settings = OwnRun(files=files, shapes=shapes, class_names=names)
        runs[name] = Run(study, name, run.chosen, settings, {})
    return runs, checkpoints, splits


def group_by_run(matches, where):
    """Return {name of a run: its FilesOfRun} of Matches. Raises UserError where two have the same name."""
    by_run = {}
    for path, texts in matches:
        place = f"{where}: activations.files: {path}"
        settings = {name: text for name, text in texts.items() if name not in FILE_WILDCARDS}
        chosen = {name: value_of_text(text) for name, text in settings.items()}
        chosen = {**chosen, "seed": number_of(chosen.pop("seed", 0), "seed", place)}
        run = by_run.setdefault(run_name(chosen, f"{place}: "), FilesOfRun(chosen, settings, {}))
        at = number_of(value_of_text(texts.get("at", "0")), "at", place)
        paths = run.paths.setdefault((at, texts.get("split", SPLITS[0])), {})
        if texts.get("layer") in paths:
            other = paths[texts.get("layer")]
            raise UserError(f"{place}: has the settings of {other}, written otherwise; leave one of them out")
        paths[texts.get("layer")] = path
    return by_run


def sample_set(at, split):
    """Return the name of a set of samples; see targets.sample_sets."""
    return f"{at:05d}{'' if split == SPLITS[0] else f'-{split}'}"


def find_files(activations, where):
    """Return the Matches of a study's `files`, sorted. Raises UserError where there are none."""
    pattern = activations.files
    names = [name for name, _ in WILDCARD.findall(pattern)]
    if taken := [name for name in names if name in COLUMNS]:
        raise UserError(f"{where}: {{{taken[0]}}} is a column of the tables already; give the wildcard another name")
    if Path(pattern).suffix not in ENDINGS:
        raise UserError(f"{where}: {pattern}: should end in {', '.join(ENDINGS)}")
    expressions = {"layer": "|".join(map(re.escape, activations.layers)), "split": "|".join(SPLITS)}
    if matches := match_files(pattern, where, expressions):
        return matches
    others = match_files(pattern, where)
    if not others:
        raise UserError(f"{where}: no file matches {pattern!r}")
    texts = {name: sorted({match.wildcards[name] for match in others}) for name in expressions if name in names}
    has = "; ".join(f"{name}: {', '.join(values[:SHOWN])}" for name, values in texts.items())
    raise UserError(f"{where}: no file that matches {pattern!r} is of these layers; the files there have {has}")


def match_files(pattern, where, expressions=None):
    """Return the Matches of a path with wildcards in braces, sorted; a wildcard matches .+, as in Snakemake.

    expressions: {wildcard: regular expression} of those that have another one. {name,expression} states one, too.
    Raises UserError where one is wrong.
    """
    expression, end, seen = "", 0, set()
    for wildcard in WILDCARD.finditer(pattern):
        name, stated = wildcard.groups()
        group = f"(?P={name})" if name in seen else f"(?P<{name}>{stated or (expressions or {}).get(name, '.+')})"
        expression += re.escape(pattern[end : wildcard.start()]) + group
        end = wildcard.end()
        seen.add(name)
    try:
        expression = re.compile(expression + re.escape(pattern[end:]))
    except re.error as error:
        raise UserError(f"{where}: {pattern}: its regular expression is wrong: {error}") from None
    folder = os.path.dirname(pattern.partition("{")[0])
    paths = [pattern] if not seen else files_below(folder or ".") if os.path.isdir(folder or ".") else []
    paths = [path if folder else os.path.relpath(path) for path in paths if os.path.exists(path)]
    matches = [(path, expression.fullmatch(path)) for path in sorted(paths)]
    return [Match(path, match.groupdict()) for path, match in matches if match]


def number_of(value, wildcard, where):
    """Return the value of {at} or {seed}; UserError where it is no integer of 0 or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UserError(f"{where}: {{{wildcard}}} is {value!r}; should be 0, 1, 2, ...")
    return value


def arrays_of(paths, layers, where):
    """Return {layer: StoredArray} in the order of `layers`. Raises UserError where one is missing, or they differ in n.

    paths: {layer: path}, a file each; or {None: path}, one file with all layers.
    """
    if not paths:
        raise UserError(f"{where}: no file, where other runs have one")
    if None in paths:
        known = list_arrays(paths[None])
        if missing := [layer for layer in layers if layer not in known]:
            raise UserError(
                f"{where}: {paths[None]} has no layer {', '.join(missing[:SHOWN])}; it has {', '.join(known)}"
            )
        arrays = {layer: known[layer] for layer in layers}
    else:
        if missing := [layer for layer in layers if layer not in paths]:
            raise UserError(f"{where}: no file of layer {', '.join(missing[:SHOWN])}; there are {', '.join(paths)}")
        arrays = {layer: only_array(paths[layer], layer) for layer in layers}
    for array in arrays.values():
        require_points(array)
    counts = {array.shape[0]: f"{layer} has {array.shape[0]}" for layer, array in arrays.items()}
    if len(counts) > 1:
        raise UserError(f"{where}: layers of different numbers of samples: {', '.join(counts.values())}")
    return arrays


def arrays_of_files(files):
    """Return {layer: StoredArray} of OwnFiles."""
    return {layer: only_array(path, layer) for layer, path in files.layers.items()}


def labels_path(pattern, texts, place, where):
    """Return the path of the labels of a run's samples; None where the study has none.

    texts: of the wildcards that are settings of the run; place: (checkpoint, split).
    """
    if pattern is None:
        return None
    texts = {**texts, "at": str(place[0]), "split": place[1]}
    if unknown := [wildcard for wildcard, _ in WILDCARD.findall(pattern) if wildcard not in texts]:
        raise UserError(
            f"{where}: activations.labels: {{{unknown[0]}}} should be a wildcard of files other than {{layer}}"
        )
    path = WILDCARD.sub(lambda wildcard: texts[wildcard[1]], pattern)
    if not os.path.exists(path):
        raise UserError(f"{where}: activations.labels: {path}: no such file")
    return path


def labels_array(path):
    """Return the StoredArray of the labels in a file: the one named `labels`, or the only one."""
    return only_array(path, "labels")


def class_names(labels, where):
    """Return the sorted texts that labels, {path: (n,)}, are; [] where they are numbers, or there are none."""
    texts = [values for values in labels.values() if values.dtype.kind == "U"]
    if texts and len(texts) != len(labels):
        raise UserError(f"{where}: activations.labels: some files hold numbers and others texts; should be the same")
    return sorted({str(text) for values in texts for text in np.unique(values)})


def joined(shapes, arrays, split, labels, where):
    """Return the Shapes of a run with what another checkpoint or split adds. Raises UserError where it differs.

    arrays: {layer: StoredArray} there; labels: (n,), or None.
    """
    n = next(iter(arrays.values())).shape[0]
    for layer, array in arrays.items():
        if (other := shapes.layers.get(layer, array.features)) != array.features:
            raise UserError(f"{where}: layer {layer} has {array.features} features, and {other} in another file")
    if (other := shapes.sizes.get(split, n)) != n:
        raise UserError(f"{where}: {n} samples, and {other} in another file")
    if labels is not None and len(labels) != n:
        raise UserError(f"{where}: {n} samples, and {len(labels)} labels; should be as many")
    classes = 0 if labels is None else len(np.unique(labels))
    features = {layer: array.features for layer, array in arrays.items()}
    last = list(arrays)[-1]
    sizes = {**shapes.sizes, split: n}
    return Shapes(features, sizes, max(shapes.classes, classes), None if last == INPUT else last)


def read_metrics(path, matches, where):
    """Return {path of a file: {metric: value}} from a CSV file with a row for each run and checkpoint.

    Columns: the wildcards of the files but {layer} and {split}, and any of METRICS. Raises UserError where a run has no
    row, or several; where a row has no run; and for any other column.
    """
    where = f"{where}: activations.metrics: {path}"
    keys = [name for name in matches[0].wildcards if name not in ("layer", "split")]
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    if missing := [key for key in keys if key not in columns]:
        raise UserError(f"{where}: has no column {', '.join(missing)}, a wildcard of files")
    for column in columns:
        if column not in (*keys, *METRICS):
            raise UserError(f"{where}: unknown column {column!r}{hint(column, [*keys, *METRICS])}")
    by_key = {}
    for number, row in enumerate(rows, start=2):
        key = tuple(value_of_text(row[name] or "") for name in keys)
        if key in by_key:
            raise UserError(f"{where}: line {number}: {shown(keys, key)} has a row already")
        by_key[key] = {
            name: metric_of(row[name], name, f"{where}: line {number}")
            for name in METRICS
            if name in columns and row[name] not in (None, "")
        }
    by_path = {match.path: tuple(value_of_text(match.wildcards[name]) for name in keys) for match in matches}
    for key in dict.fromkeys(by_path.values()):
        if key not in by_key:
            raise UserError(f"{where}: has no row of {shown(keys, key)}")
    for key in by_key:
        if key not in by_path.values():
            raise UserError(f"{where}: {shown(keys, key)}: there are no such files")
    return {path: by_key[key] for path, key in by_path.items()}


def metric_of(text, name, where):
    """Return the number in a cell of a CSV file; UserError where it is none."""
    value = value_of_text(text.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise UserError(f"{where}: {name} is {text!r}; should be a number, or empty")
    return float(value)


def shown(keys, values: tuple[Any, ...]):
    """Return the values of a row's wildcards for a reader."""
    return ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True)) or "the run"
