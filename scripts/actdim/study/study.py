"""A study: its YAML file, checked, and what follows from it."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from actdim.errors import UserError
from actdim.models.summary import summarize_model
from actdim.neighbors.settings import Neighbors
from actdim.study.config import load_config
from actdim.study.measures import MeasuresOfFile, MeasuresOfStudy, choose_measures
from actdim.study.runs import Run, make_runs
from actdim.study.stages import check_checkpoints, make_stages, training_length
from actdim.study.yaml_files import read_yaml
from actdim.training.stages import Stage
from actdim.validation import OneOrMore, Settings, Unit, Units, check

FIGURES = ("llid", "pid", "pid_over_llid", "grokking", "id_over_depth", "scale_check")


class Checkpoints(Settings):
    """The section of a study that says which checkpoints to keep."""

    checkpoints: Annotated[list[Unit], Field(min_length=1)]


class Activations(Settings):
    """Which activations to store."""

    at: Units  # kept epochs or steps
    split: OneOrMore[Literal["validation", "train"]] = ["validation"]
    layers: OneOrMore[str] = ["all"]
    by_class: bool = False  # measure each class by itself, too
    keep: bool = True  # or delete the activations after the last job that needs them


class StudyFile(Checkpoints, MeasuresOfFile):
    """A study's YAML file; its sections dataset, model and training are checked run by run."""

    dataset: dict
    model: dict
    training: dict
    grid: list[dict[str, list]] = [{}]
    seeds: Annotated[list[Unit], Field(min_length=1)] = [0]
    activations: Activations
    neighbors: dict = {}
    figures: list[Literal[FIGURES]] | None = None  # None: those that its grid has the runs for

    @model_validator(mode="after")
    def grid_is_not_empty(self):
        if not self.grid or any(not values for grid in self.grid for values in grid.values()):
            raise ValueError("the grid is empty; every list of it needs a value")
        return self


class Study(NamedTuple):
    """A checked study."""

    name: str
    unit: str  # "epochs" or "steps"
    stages: list[Stage]  # of the training of each run, one job each
    activations: Activations
    neighbors: Neighbors
    measures: MeasuresOfStudy
    figures: list[str]
    runs: dict[str, Run]

    def stage_with(self, checkpoint):
        """Return the Stage that keeps a checkpoint."""
        return next(stage for stage in self.stages if checkpoint in stage.kept)

    def stage_until(self, end):
        """Return the Stage that ends at an epoch or step."""
        return next(stage for stage in self.stages if stage.until == end)


def load_all(content):
    """Return the configuration as a Config and its studies as {name: Study}. Raises UserError."""
    config = load_config(content)
    return config, {name: load_study(name, config) for name in config.studies}


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
    length = training_length(content, where)
    for run in runs.values():
        if length.ends[-1] > 0 and not summarize_model(run, file.activations.layers).trainable:
            raise UserError(f"{where}: model: {run.settings.model.name} has nothing to train; write epochs: 0")
    measures = choose_measures(file, config, runs.values(), where)
    check_checkpoints(file.checkpoints, length, {"activations": file.activations, **dict(measures)}, where)
    return Study(
        name=name,
        unit=length.unit,
        stages=make_stages(length, file.checkpoints),
        activations=file.activations,
        neighbors=check(Neighbors, {**config.neighbors.model_dump(), **file.neighbors}, f"{where}: neighbors"),
        measures=measures,
        figures=choose_figures(file.figures, runs, where),
        runs=runs,
    )


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
