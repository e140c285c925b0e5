"""The stages in which a study trains its runs, and the job that trains one of them."""

from actdim import plugins
from actdim.errors import UserError
from actdim.provenance import digest_of, made_by
from actdim.study.run_settings import make_run_settings
from actdim.study.study_file import TrainedSections
from actdim.study.yaml_files import read_yaml
from actdim.training.settings import TrainingLength, run_settings_that_count
from actdim.training.stages import TrainingJob, make_stage
from actdim.validation import check


def training_length(file, where):
    """Return the TrainingLength that a TrainedSections states; the other settings of training may be in the grid."""
    stated = {key: value for key, value in file.training.items() if key in TrainingLength.model_fields}
    return check(TrainingLength, stated, f"{where}: training")


def make_stages(length, checkpoints):
    """Return the Stages of a TrainingLength, which keep `checkpoints` between them."""
    previous = [None, *length.ends]
    return [make_stage(checkpoints, until, start) for start, until in zip(previous, length.ends, strict=False)]


def check_checkpoints(checkpoints, length, wanted, where):
    """Raise UserError where training ends before a checkpoint, or a section wants one that is not kept.

    wanted: {section of the study: its settings, or None}, whose `at` lists checkpoints.
    """
    beyond = sorted(unit for unit in set(checkpoints) if unit > length.ends[-1])
    if beyond:
        end = f"{length.unit} {length.ends[-1]}"
        raise UserError(f"{where}: checkpoints: training ends at {end}, before {numbers(beyond)}")
    kept = {*checkpoints, *length.ends}
    for section, settings in wanted.items():
        missing = sorted(set(settings.at) - kept) if settings else []
        if missing:
            raise UserError(
                f"{where}: {section}.at: no checkpoint at {numbers(missing)}; checkpoints has {numbers(sorted(kept))}"
            )


def numbers(values):
    """Return numbers as text: 1, 2, 3."""
    return ", ".join(map(str, values))


def load_training_job(path, chosen, previous, until, program):
    """Return the TrainingJob of a run of the study in a YAML file.

    chosen: values of its grid and "seed"; previous: where the stage before ended, or None; until: where this one ends
    (None: where training does); program: the path of the program that trains. Raises UserError.
    """
    where, content = str(path), read_yaml(path)
    file = check(TrainedSections, {key: content[key] for key in TrainedSections.model_fields if key in content}, where)
    length, settings = training_length(file, where), make_run_settings(dict(file), chosen, where)
    until = length.ends[-1] if until is None else until
    if previous is not None and until <= previous:
        raise UserError(f"{where}: a stage that begins at {previous} should end after that, not at {until}")
    stage = make_stage(file.checkpoints, until, previous)
    return TrainingJob(
        study=path.stem,
        chosen=chosen,
        settings=settings,
        unit=length.unit,
        stage=stage,
        made_by=made_by(
            program,
            *plugins.run_functions(settings),
            settings={**run_settings_that_count(settings), "kept": stage.kept},
            libraries=("torch", "numpy"),
        ),
    )


def planned_digest(counted, stage):
    """Return a digest of what decides about the checkpoints of a Stage; counted: see Run."""
    return digest_of(counted, stage.kept)
