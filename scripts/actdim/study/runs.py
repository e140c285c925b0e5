"""The runs of a study: one for each point of its grid and each seed."""

import itertools
import re
from typing import Any, NamedTuple

from actdim.datasets.dataset import check_class_weights, data_set
from actdim.errors import UserError
from actdim.models.summary import summarize_model
from actdim.names import INPUT
from actdim.study.own_run import OwnRun
from actdim.study.run_settings import chosen_value, make_run_settings, stated_value
from actdim.training.settings import RunSettings, run_settings_that_count

LONGEST_NAME = 200  # characters of a name in a path; a file system takes 255, with the file's ending


class Run(NamedTuple):
    """A setting of the grid with a seed: what is trained once, or whose activations lie in files of the user's own."""

    study: str
    name: str  # weight_decay~0.001/dropout~0/seed~0
    chosen: dict[str, Any]  # what the name is made of: {"weight_decay": 0.001, "dropout": 0.0, "seed": 0}
    settings: RunSettings | OwnRun  # how it is trained, or the files of its activations
    counted: dict[str, Any]  # see training.settings.run_settings_that_count


def make_runs(study, file, where):
    """Return {name: Run} of a StudyFile, in the order of its grid. Raises UserError."""
    keys = list(dict.fromkeys(key for grid in file.grid for key in grid))
    if "seed" in keys:
        raise UserError(f"{where}: grid.seed: list seeds under the study's key seeds, not in the grid")
    if "depth" in keys:  # the tables' column for the depth of a layer
        raise UserError(f"{where}: grid.depth: write model.depth")
    runs = {}
    for number, grid in enumerate(file.grid, start=1):
        for values in itertools.product(*grid.values(), file.seeds):
            settings = settings_of_point(file, dict(zip([*grid, "seed"], values, strict=True)), where)
            chosen = {**{key: chosen_value(key, settings) for key in keys}, "seed": settings.seed}
            name = run_name(chosen, f"{where}: grid.")
            if name in runs:
                raise UserError(f"{where}: grid: item {number} makes the run {name} a second time; write it once")
            runs[name] = Run(study, name, chosen, settings, run_settings_that_count(settings))
    return runs


def settings_of_point(file, point, where):
    """Return the RunSettings of a point of the grid, {key: value}, with its seed."""
    for key, value in point.items():
        if isinstance(value, dict | list):
            raise UserError(f"{where}: grid.{key}: should be numbers or names; write a study for each of these")
    sections = dict(file)
    settings = make_run_settings(sections, point, where)
    for key, value in point.items():
        if value is None and stated_value(key, sections) is not None:  # null in a run's name means that it has none
            raise UserError(f"{where}: grid.{key}: null, where the study has a value; list that in the grid")
    try:
        summarize_model(settings, file.activations.layers)
        check_training(settings)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return settings


def check_training(settings):
    """Raise UserError where the model or the data set lacks what training asks of them."""
    bottleneck, weights = settings.training.bottleneck, settings.training.class_weights
    if bottleneck:
        if bottleneck.layer == "all":
            raise UserError("training.bottleneck.layer: should be a module of the model, not 'all'")
        check_modules(settings, [bottleneck.layer], "training.bottleneck.layer")
    if isinstance(weights, list):
        check_class_weights(weights, data_set(settings.dataset).classes)


def check_modules(settings, names, where):
    """Raise UserError where not all names are those of modules that a run's model computes."""
    if INPUT in names:
        raise UserError(f"{where}: should be a module of the model, not {INPUT!r}")
    try:
        summarize_model(settings, names)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix('activations.layers: ')}") from None


def run_name(chosen, where):
    """Return the name of a run, a path: weight_decay~0.001/seed~0.

    Raises UserError for a value that cannot stand in a path; it begins with `where` and the name of the setting.
    """
    return "/".join(f"{key}~{value_text(value, f'{where}{key}')}" for key, value in chosen.items())


def value_text(value, where):
    """Return a setting as it stands in a path: 0.001, 0, adam, true; UserError for a value that cannot."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    text = str(value)
    if isinstance(value, int | str) and len(text) <= LONGEST_NAME and re.fullmatch(r"[A-Za-z0-9_.:+-]+", text):
        return text
    raise UserError(
        f"{where}: should be a number, or a name of letters, digits and _.:+-, at most {LONGEST_NAME}, not {value!r}"
    )
