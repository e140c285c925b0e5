"""The runs of a study: one for each grid point and seed."""

import difflib
import itertools
import re
from typing import NamedTuple

from actdim import plugins, registry
from actdim.datasets.dataset import check_class_weights, data_set
from actdim.datasets.settings import Dataset
from actdim.errors import UserError
from actdim.models.summary import summarize_model
from actdim.names import INPUT
from actdim.training.settings import Seed, Training
from actdim.validation import Settings, check

SECTIONS = ("dataset", "model", "training")


REGISTERED = {"dataset": (registry.DATASETS, Dataset), "model": (registry.MODELS, Settings)}


def run_settings(study, chosen, where):
    """Return the settings of the run of a study that the grid values `chosen` and a seed make.

    study: the content of a study's YAML file; chosen: {grid key: value, ..., "seed": int}.
    Returns plain nested dicts with every default filled in: dataset, model, training and seed; the length of
    training is not among them (see `stages`), for a run that trains longer is the same run.
    Raises UserError that names `where`, the key and what would be right.
    """
    sections = {}
    for section in SECTIONS:
        content = study.get(section)
        if not isinstance(content, dict):
            raise UserError(f"{where}: {section}: {'missing' if content is None else 'should hold keys and values'}")
        sections[section] = dict(content)
    # Names first, for they decide which other settings there are.
    for key in sorted(chosen.keys() - {"seed"}, key=lambda key: (not key.endswith(".name"), key)):
        section, name = locate(key, sections, where)
        sections[section][name] = chosen[key]
    training = check(Training, sections["training"], f"{where}: training")
    return {
        **{name: check_registered(name, sections[name], f"{where}: {name}") for name in REGISTERED},
        "training": training.model_dump(mode="json", exclude={"epochs", "steps"}),
        "seed": check(Seed, {"seed": chosen.get("seed", 0)}, where).seed,
    }


def locate(key, sections, where):
    """Return (section, setting) for a grid key: `weight_decay`, or `model.name` where two sections have it."""
    if key.removeprefix("training.") in ("epochs", "steps"):
        raise UserError(f"{where}: {key}: is the same for all runs of a study; state it in training")
    known = {name: schema_of(name, sections[name], f"{where}: {name}").model_fields for name in REGISTERED}
    known["training"] = Training.model_fields
    section, dot, name = key.rpartition(".")
    places = [s for s, fields in known.items() if name in fields and (s == section or not dot)]
    if len(places) == 1:
        return places[0], name
    every = sorted({name for fields in known.values() for name in fields})
    if places:
        raise UserError(f"{where}: {key}: could be {' or '.join(f'{s}.{name}' for s in places)}; write one of them")
    close = difflib.get_close_matches(name, every, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(every)}"
    raise UserError(f"{where}: {key}: no setting of dataset, model or training; {hint}")


def schema_of(kind, section, where):
    """Return the pydantic model of a dataset or model section; UserError where it names no known function."""
    table, base = REGISTERED[kind]
    if "name" not in section:
        raise UserError(f"{where}.name: missing; known: {', '.join(table)}")
    try:
        return plugins.settings_of(plugins.find(table, section["name"]), base)
    except UserError as error:
        raise UserError(f"{where}.name: {error}") from None


def check_registered(kind, section, where):
    """Return a dataset or model section as a dict with every default filled in."""
    return check(schema_of(kind, section, where), section, where).model_dump(mode="json")


LONGEST = 200  # characters of a name in a path; a file system takes 255, of which endings are a part


class Run(NamedTuple):
    """One training: a grid point and a seed."""

    study: str
    name: str  # weight_decay~0.001/dropout~0/seed~0
    chosen: dict  # {"weight_decay": 0.001, "dropout": 0.0, "seed": 0}
    settings: dict  # see settings.run_settings


def make_runs(study, file, content, where):
    """Return {name: Run} of all grid points and seeds, in the order of the grid."""
    keys = list(dict.fromkeys(key for grid in file.grid for key in grid))
    if "seed" in keys:
        raise UserError(f"{where}: grid.seed: write seeds, beside the grid")
    if "depth" in keys:  # the tables' column for the depth of a layer
        raise UserError(f"{where}: grid.depth: write model.depth")
    runs = {}
    for number, grid in enumerate(file.grid):
        for values in itertools.product(*grid.values(), file.seeds):
            chosen = dict(zip([*grid, "seed"], values, strict=True))
            for key, value in chosen.items():
                if isinstance(value, dict | list):
                    raise UserError(f"{where}: grid.{key}: should be numbers or names; write a study for each of these")
            settings = run_settings(content, chosen, where)
            for key, value in chosen.items():
                if value is None and value_of(key, content) is not None:  # null is how a run's name says "has none"
                    raise UserError(f"{where}: grid.{key}: null, where the study has a value; list that in the grid")
            chosen = {**{key: value_of(key, settings) for key in keys}, "seed": chosen["seed"]}
            name = "/".join(f"{key}~{value_text(value, f'{where}: grid.{key}')}" for key, value in chosen.items())
            if name in runs:
                raise UserError(f"{where}: grid: item {number + 1} makes the run {name} a second time; write it once")
            runs[name] = Run(study, name, chosen, settings)
            try:
                layers_of(runs[name], file.activations.layers)
                check_training(runs[name])
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
    return runs


def check_training(run):
    """Check what training asks of the data set and the model; UserError where they lack it."""
    bottleneck, weights = run.settings["training"]["bottleneck"], run.settings["training"]["class_weights"]
    if bottleneck:
        if bottleneck["layer"] == "all":
            raise UserError("training.bottleneck.layer: should be a module of the model, not 'all'")
        check_layers(run, [bottleneck["layer"]], "training.bottleneck.layer")
    if isinstance(weights, list):
        check_class_weights(weights, data_set(run.settings).classes)


def check_layers(run, layers, where):
    """Raise UserError where not all of `layers` are modules that the model computes."""
    if INPUT in layers:
        raise UserError(f"{where}: should be a module of the model, not {INPUT!r}")
    try:
        layers_of(run, layers)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix('activations.layers: ')}") from None


def value_of(key, settings):
    """Return the value of a grid key in a run's settings; None where its model or data set has no such setting."""
    section, dot, name = key.rpartition(".")
    sections = [section] if dot else ("dataset", "model", "training")
    value = next((settings[section][name] for section in sections if name in settings[section]), None)
    return value.get("name", "given") if isinstance(value, dict) else value


def value_text(value, where):
    """Return a setting as it stands in a path: 0.001, 0, adam, true.

    Raises UserError for a value that cannot stand in one.
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int | str) and len(str(value)) <= LONGEST and re.fullmatch(r"[A-Za-z0-9_.:+-]+", str(value)):
        return str(value)
    raise UserError(
        f"{where}: a grid value should be a number, or a name of letters, digits and _.:+-, at most {LONGEST}, "
        f"not {value!r}"
    )


def layers_of(run, layers):
    """Return the names of the layers that a run dumps, the last to be computed last.

    Raises UserError where its model or data set cannot be made so.
    """
    return list(summarize_model(run, layers).layers)


def modules_of(run, layers):
    """Return the names of the layers, but the input, that are units to ablate; see layers_of."""
    return [name for name in layers_of(run, layers) if name != INPUT]
