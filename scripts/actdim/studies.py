"""The configuration and the studies it names, checked, and what follows from them: runs, stages, layers, paths."""

import itertools
import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from actdim import neighbors, registered, registry
from actdim.datasets import check_class_weights, data_set
from actdim.errors import UserError
from actdim.estimators.pca import pca
from actdim.hdf5 import INPUT
from actdim.on_paper import on_paper
from actdim.probes import (
    Directions,
    DirectionsOfStudy,
    FunctionalDimension,
    FunctionalDimensionOfStudy,
    OneOrMore,
    Units,
)
from actdim.settings import (
    Checkpoints,
    Settings,
    Unit,
    check,
    check_texts,
    read_yaml,
    run_settings,
    stages_of_study,
)

LONGEST = 200  # characters of a name in a path; a file system takes 255, of which endings are a part
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=LONGEST)]
PCA = "pca"  # the estimator that reads activations, not neighbor lists
PROBES = {"directions": DirectionsOfStudy, "functional_dimension": FunctionalDimensionOfStudy}
FIGURES = ("llid", "pid", "pid_over_llid", "grokking", "id_over_depth", "scale_check")


class Neighbors(Settings):
    """How to search for neighbors."""

    method: Literal[tuple(neighbors.METHODS)] = "auto"
    k: Annotated[int, Field(ge=2)] = 32
    seed: Unit = 0


class Config(Settings):
    """config.yaml."""

    studies: Annotated[list[Name], Field(min_length=1)]
    neighbors: Neighbors = Neighbors()
    directions: Directions = Directions()
    functional_dimension: FunctionalDimension = FunctionalDimension()
    estimators: Annotated[dict[Literal[(*registry.ESTIMATORS, PCA)], dict], Field(min_length=1)]
    tensorboard: bool = False  # write event files, too


class Activations(Settings):
    """Which activations to store."""

    at: Units  # kept epochs or steps
    split: OneOrMore[Literal["validation", "train"]] = ["validation"]
    layers: OneOrMore[str] = ["all"]
    by_class: bool = False  # measure each class by itself, too
    keep: bool = True  # or delete the activations after the last job that needs them


class StudyFile(Checkpoints):
    """A study's YAML file; its sections dataset, model and training are checked run by run."""

    dataset: dict
    model: dict
    training: dict
    grid: list[dict[str, list]] = [{}]
    seeds: Annotated[list[Unit], Field(min_length=1)] = [0]
    activations: Activations
    neighbors: dict = {}
    directions: dict | None = None  # None: not measured
    functional_dimension: dict | None = None
    figures: list[Literal[FIGURES]] | None = None  # None: those that its grid has the runs for

    @model_validator(mode="after")
    def grid_is_not_empty(self):
        if not self.grid or any(not values for grid in self.grid for values in grid.values()):
            raise ValueError("the grid is empty; every list of it needs a value")
        return self


class Run(NamedTuple):
    """One training: a grid point and a seed."""

    study: str
    name: str  # weight_decay~0.001/dropout~0/seed~0
    chosen: dict  # {"weight_decay": 0.001, "dropout": 0.0, "seed": 0}
    settings: dict  # see settings.run_settings


class Study(NamedTuple):
    """A checked study."""

    name: str
    unit: str  # "epochs" or "steps"
    stages: list[int]  # the unit at which each training job ends
    kept: list[int]  # units with a checkpoint; a stage's end always has one
    activations: Activations
    neighbors: Neighbors
    directions: DirectionsOfStudy | None
    functional_dimension: FunctionalDimensionOfStudy | None
    figures: list[str]
    runs: dict[str, Run]


def load_config(content, where="config.yaml"):
    """Return the configuration as a Config; every estimator's settings filled in. Raises UserError."""
    check_texts(content, where)
    config = check(Config, with_nulls(content), where)
    for name, settings in config.estimators.items():
        schema = registered.settings_of(pca if name == PCA else registered.find(registry.ESTIMATORS, name))
        checked = check(schema, {"name": name, **settings}, f"{where}: estimators.{name}")
        config.estimators[name] = checked.model_dump(exclude={"name"})
    return config


def load_all(content):
    """Return the configuration as a Config and its studies as {name: Study}. Raises UserError."""
    config = load_config(content)
    return config, {name: load_study(name, config) for name in config.studies}


def with_nulls(content):
    """Return nested plain values with None for the text null, as which Snakemake's --config reads it."""
    if isinstance(content, dict):
        return {key: with_nulls(value) for key, value in content.items()}
    return None if content == "null" else content


def load_study(name, config, folder="studies"):
    """Return the study `name` from its YAML file in `folder`. Raises UserError, a line for each mistake."""
    path = Path(folder) / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in Path(folder).glob("*.yaml")))
        raise UserError(f"config.yaml: studies: no study {name!r} in {folder}/; it has {known}")
    where = str(path)
    content = read_yaml(path)
    file = check(StudyFile, content, where)
    runs = make_runs(name, file, content, where)
    unit, ends = stages_of_study(content, where)
    for run in runs.values():
        if ends[-1] > 0 and not on_paper(run, file.activations.layers).trainable:
            raise UserError(f"{where}: model: {run.settings['model']['name']} has nothing to train; write epochs: 0")
    probes = {key: probe(key, config, file, where) for key in PROBES}
    read = {"activations": file.activations, **probes}
    if probes["directions"]:
        for run in runs.values():
            check_layers(run, probes["directions"].layers, f"{where}: directions.layers")
    return Study(
        name=name,
        unit=unit,
        stages=ends,
        kept=kept_checkpoints(file.checkpoints, read, ends, unit, where),
        activations=file.activations,
        neighbors=check(Neighbors, {**config.neighbors.model_dump(), **file.neighbors}, f"{where}: neighbors"),
        **probes,
        figures=choose_figures(file.figures, runs, where),
        runs=runs,
    )


def probe(key, config, file, where):
    """Return the settings of a probe of a study, the configuration's where it has none; None where it has no probe."""
    own = getattr(file, key)
    return own and check(PROBES[key], {**getattr(config, key).model_dump(), **own}, f"{where}: {key}")


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


def choose_figures(wanted, runs, where):
    """Return the figures of a study; UserError for one that plots a sweep where there is none.

    A sweep is what tables.sweeps yields: runs in which one number alone takes three values or more.
    """
    settings = [{key: value for key, value in run.chosen.items() if key != "seed"} for run in runs.values()]
    sweeps = {}
    for chosen in settings:
        for key, value in chosen.items():
            if isinstance(value, int | float):
                fixed = tuple(item for item in chosen.items() if item[0] != key)
                sweeps.setdefault((key, fixed), set()).add(value)
    swept = any(len(values) >= 3 for values in sweeps.values())
    if wanted is None:
        return [*(("llid", "pid", "pid_over_llid") if swept else ()), "id_over_depth", "scale_check"]
    if not swept and {"llid", "pid"} & set(wanted):
        raise UserError(f"{where}: figures: llid and pid need a setting with three values or more in the grid")
    return wanted


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


def kept_checkpoints(checkpoints, read, ends, unit, where):
    """Return the units with a checkpoint, sorted; UserError where one is never reached.

    read: {section: settings} that name in `at` the checkpoints they read; UserError where there is none.
    """
    kept = sorted({*checkpoints, *ends})
    beyond = [at for at in kept if at > ends[-1]]
    if beyond:
        raise UserError(f"{where}: checkpoints: training ends at {unit} {ends[-1]}, before {numbers(beyond)}")
    for section, settings in read.items():
        missing = sorted(set(settings.at) - set(kept)) if settings else []
        if missing:
            raise UserError(
                f"{where}: {section}.at: no checkpoint at {numbers(missing)}; checkpoints has {numbers(kept)}"
            )
    return kept


def numbers(values):
    """Return numbers as text: 1, 2, 3."""
    return ", ".join(map(str, values))


def layers_of(run, layers):
    """Return the names of the layers that a run dumps, the last to be computed last.

    Raises UserError where its model or data set cannot be made so.
    """
    return list(on_paper(run, layers).layers)


def modules_of(run, layers):
    """Return the names of the layers, but the input, that are units to ablate; see layers_of."""
    return [name for name in layers_of(run, layers) if name != INPUT]


def stage_of(study, at):
    """Return the end of the stage whose job keeps the checkpoint of an epoch or step."""
    return next(until for until in study.stages if at <= until)


def evaluated(study, training, start, until):
    """Return the epochs or steps after `start`, up to `until`, that have a row in metrics.csv."""
    every = training["evaluate_every"]
    regular = range((start // every + 1) * every, until + 1, every)
    return sorted({*regular, *(at for at in study.kept if start < at <= until)})
