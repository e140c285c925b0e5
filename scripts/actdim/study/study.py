"""A study: its YAML file, checked, and what follows from it: runs, stages and layers."""

from pathlib import Path
from typing import NamedTuple

from actdim.datasets.dataset import data_set
from actdim.errors import UserError
from actdim.folders import find_file, own_folders
from actdim.models.summary import summarize_model
from actdim.neighbors.settings import Neighbors
from actdim.study.config import load_config
from actdim.study.figures import choose_figures
from actdim.study.measures import MeasureSections, choose_measures
from actdim.study.own_activations import own_runs
from actdim.study.own_run import Shapes
from actdim.study.runs import Run, make_runs, run_name
from actdim.study.stages import check_checkpoints, make_stages, training_length
from actdim.study.study_file import Activations, OwnActivationsFile, StudyFile
from actdim.study.yaml_files import read_yaml
from actdim.training.stages import Stage
from actdim.validation import check, fill_in


class Study(NamedTuple):
    """A checked study."""

    name: str
    unit: str  # "epochs" or "steps"; "checkpoint" of own activations
    stages: list[Stage]  # of the training of each run, one job each; none of own activations
    activations: Activations
    neighbors: Neighbors
    measures: MeasureSections
    figures: list[str]
    runs: dict[str, Run]  # by their names

    @property
    def has_own_activations(self):
        """Whether activations come from files of the user's own; otherwise from models, which jobs train."""
        return not self.stages

    def stage_with(self, checkpoint):
        """Return the Stage that keeps a checkpoint."""
        return next(stage for stage in self.stages if checkpoint in stage.kept)

    def stage_until(self, end):
        """Return the Stage that ends at an epoch or step."""
        return next(stage for stage in self.stages if stage.until == end)

    def model_of(self, run):
        """Return the ModelSummary of a run's model, with the layers whose activations are stored."""
        return summarize_model(run.settings, self.activations.layers)

    def features_of(self, run):
        """Return {layer: features} of the layers of a run whose activations are stored, the last one last."""
        return run.settings.shapes.layers if self.has_own_activations else self.model_of(run).layers

    def layers_of(self, run):
        """Return the names of those layers."""
        return list(self.features_of(run))

    def last_layer_of(self, run):
        """Return the name of the layer among them that feeds the classifier; None where none does."""
        sizes = run.settings.shapes if self.has_own_activations else self.model_of(run)
        return sizes.feeds_classifier

    def shapes_of(self, run):
        """Return the Shapes of a run's activations."""
        if self.has_own_activations:
            return run.settings.shapes
        data = data_set(run.settings.dataset)
        model = self.model_of(run)
        return Shapes(model.layers, data.sizes, data.classes, model.feeds_classifier)


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
    where, content = str(path), read_yaml(path)
    if has_own_activations(content):
        return load_own_activations(name, content, config, where)
    file = check(StudyFile, content, where)
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


def has_own_activations(content):
    """Tell whether the content of a study's YAML file names the files of its activations."""
    return isinstance(content.get("activations"), dict) and "files" in content["activations"]


def load_own_activations(name, content, config, where):
    """Return the Study of the content of a YAML file that names the files of its activations. Raises UserError."""
    file = check(OwnActivationsFile, content, where)
    runs, checkpoints, splits = own_runs(name, file.activations, where)
    own = file.activations
    return Study(
        name=name,
        unit="checkpoint",
        stages=[],
        activations=Activations(at=checkpoints, split=splits, layers=own.layers, by_class=own.by_class),
        neighbors=fill_in(file.neighbors, config.neighbors),
        measures=MeasureSections(),
        figures=choose_figures(file.figures, [run.chosen for run in runs.values()], where),
        runs=runs,
    )


def load_own_run(path, chosen):
    """Return the Run of the study in a YAML file with some settings, {wildcard: value} and "seed". Raises UserError."""
    content = read_yaml(path)
    if not has_own_activations(content):
        raise UserError(f"{path}: has no activations.files")
    file = check(OwnActivationsFile, content, str(path))
    runs, _, _ = own_runs(path.stem, file.activations, str(path))
    name = run_name({**chosen, "seed": chosen.get("seed", 0)}, "--set ")
    if name not in runs:
        raise UserError(f"{path}: activations.files: no files of the run {name}; there are {', '.join(runs)}")
    return runs[name]
