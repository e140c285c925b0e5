"""A study: its YAML file, checked, and what follows from it: runs, stages and layers."""

from pathlib import Path
from typing import NamedTuple

from actdim.errors import UserError
from actdim.folders import find_file, own_folders
from actdim.models.summary import summarize_model
from actdim.neighbors.settings import Neighbors
from actdim.study.config import load_config
from actdim.study.figures import choose_figures
from actdim.study.measures import MeasureSections, choose_measures
from actdim.study.runs import Run, make_runs
from actdim.study.stages import check_checkpoints, make_stages, training_length
from actdim.study.study_file import Activations, StudyFile
from actdim.study.yaml_files import read_yaml
from actdim.training.stages import Stage
from actdim.validation import check, fill_in


class Study(NamedTuple):
    """A checked study."""

    name: str
    unit: str  # "epochs" or "steps"
    stages: list[Stage]  # of the training of each run, one job each
    activations: Activations
    neighbors: Neighbors
    measures: MeasureSections
    figures: list[str]
    runs: dict[str, Run]  # by their names

    def stage_with(self, checkpoint):
        """Return the Stage that keeps a checkpoint."""
        return next(stage for stage in self.stages if checkpoint in stage.kept)

    def stage_until(self, end):
        """Return the Stage that ends at an epoch or step."""
        return next(stage for stage in self.stages if stage.until == end)

    def model_of(self, run):
        """Return the ModelSummary of a run's model, with the layers whose activations are stored."""
        return summarize_model(run.settings, self.activations.layers)

    def layers_of(self, run):
        """Return the names of the layers of a run whose activations are stored; the last to be computed is last."""
        return list(self.model_of(run).layers)


def load_config_and_studies(content):
    """Return a Config and {name: Study} of its studies, from the content of config.yaml. Raises UserError."""
    config = load_config(content)
    return config, {name: load_study(name, config) for name in config.studies}


def study_file(name, folder="studies"):
    """Return the path of a study's YAML file; see folders.py."""
    return find_file(Path(folder) / f"{name}.yaml")


def load_study(name, config, folder="studies"):
    """Return the Study of a name from its YAML file in a folder. Raises UserError, with a line for each mistake."""
    path = study_file(name, folder)
    if not path.exists():
        known = sorted({file.stem for place in own_folders() for file in (place / folder).glob("*.yaml")})
        raise UserError(f"config.yaml: studies: no study {name!r} in {folder}/; it has {', '.join(known)}")
    where = str(path)
    file = check(StudyFile, read_yaml(path), where)
    length, runs = training_length(file, where), make_runs(name, file, where)
    study = Study(
        name=name,
        unit=length.unit,
        stages=make_stages(length, file.checkpoints),
        activations=file.activations,
        neighbors=fill_in(file.neighbors, config.neighbors),
        measures=choose_measures(file, config, runs.values(), where),
        figures=choose_figures(file.figures, [run.chosen for run in runs.values()], where),
        runs=runs,
    )
    check_checkpoints(file.checkpoints, length, {"activations": study.activations, **dict(study.measures)}, where)
    for run in runs.values():
        if length.ends[-1] > 0 and not study.model_of(run).trainable:
            raise UserError(f"{where}: model: {run.settings.model.name} has nothing to train; write epochs: 0")
    return study
