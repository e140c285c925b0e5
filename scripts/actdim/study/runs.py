"""The runs of a study: one for each grid point and seed."""

import difflib
import itertools
import re
from typing import NamedTuple

from actdim import plugins
from actdim.datasets.dataset import check_class_weights, data_set
from actdim.errors import UserError
from actdim.models.summary import summarize_model
from actdim.names import INPUT
from actdim.provenance import digest_of, settings_that_count
from actdim.training.settings import NAMED_SECTIONS, RunSettings, TrainingSection
from actdim.validation import Settings, check

SECTIONS = (*NAMED_SECTIONS, "training")


def run_settings(study, chosen, where):
    """Return the RunSettings that the values `chosen` from the grid and a seed make of a study.

    study: the content of a study's YAML file; chosen: {grid key: value, ..., "seed": int}.
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
    checked = {
        section: plugins.check_named(table, sections[section], f"{where}: {section}", base)
        for section, (table, base) in NAMED_SECTIONS.items()
    }
    training = check(TrainingSection, sections["training"], f"{where}: training").without_length()
    return check(RunSettings, {**checked, "training": training, "seed": chosen.get("seed", 0)}, where)


def planned_digest(counted, stage):
    """Return a digest of what decides about the checkpoints of a Stage; counted: see Run."""
    return digest_of(counted, stage.kept)


def locate(key, sections, where):
    """Return (section, setting) for a grid key: `weight_decay`, or `model.name` where two sections have it."""
    if key.removeprefix("training.") in ("epochs", "steps"):
        raise UserError(f"{where}: {key}: is the same for all runs of a study; state it in training")
    known = {"training": TrainingSection.model_fields}
    for named, (table, base) in NAMED_SECTIONS.items():
        known[named] = plugins.model_named(table, sections[named], f"{where}: {named}", base).model_fields
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


LONGEST = 200  # characters of a name in a path; a file system takes 255, of which endings are a part


class Run(NamedTuple):
    """One training: a grid point and a seed."""

    study: str
    name: str  # weight_decay~0.001/dropout~0/seed~0
    chosen: dict  # {"weight_decay": 0.001, "dropout": 0.0, "seed": 0}
    settings: RunSettings
    counted: dict  # settings that count for the digest of its results; see provenance.settings_that_count


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
                if value is None and stated_value(key, content) is not None:  # null is how a run's name says "has none"
                    raise UserError(f"{where}: grid.{key}: null, where the study has a value; list that in the grid")
            chosen = {**{key: chosen_value(key, settings) for key in keys}, "seed": settings.seed}
            name = "/".join(f"{key}~{value_text(value, f'{where}: grid.{key}')}" for key, value in chosen.items())
            if name in runs:
                raise UserError(f"{where}: grid: item {number + 1} makes the run {name} a second time; write it once")
            runs[name] = Run(study, name, chosen, settings, settings_that_count(settings))
            try:
                layers_of(runs[name], file.activations.layers)
                check_training(runs[name])
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
    return runs


def check_training(run):
    """Check what training asks of the data set and the model; UserError where they lack it."""
    bottleneck, weights = run.settings.training.bottleneck, run.settings.training.class_weights
    if bottleneck:
        if bottleneck.layer == "all":
            raise UserError("training.bottleneck.layer: should be a module of the model, not 'all'")
        check_layers(run, [bottleneck.layer], "training.bottleneck.layer")
    if isinstance(weights, list):
        check_class_weights(weights, data_set(run.settings.dataset).classes)


def check_layers(run, layers, where):
    """Raise UserError where not all of `layers` are modules that the model computes."""
    if INPUT in layers:
        raise UserError(f"{where}: should be a module of the model, not {INPUT!r}")
    try:
        layers_of(run, layers)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix('activations.layers: ')}") from None


def chosen_value(key, settings):
    """Return what the settings of a run have for a key of the grid, as a number or a text.

    None where its model or data set has no such setting. A schedule stands for its name.
    """
    value = stated_value(key, {section: dict(getattr(settings, section)) for section in SECTIONS})
    return getattr(value, "name", "given") if isinstance(value, Settings) else value


def stated_value(key, sections):
    """Return the value of a key of the grid in {section: {setting: value}}; None where none has it."""
    section, dot, name = key.rpartition(".")
    return next((sections[part][name] for part in ([section] if dot else SECTIONS) if name in sections[part]), None)


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
