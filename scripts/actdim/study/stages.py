"""The stages of a study's trainings, and the epochs or steps that keep a checkpoint."""

from actdim.errors import UserError
from actdim.training.settings import TrainingLength
from actdim.training.stages import make_stage
from actdim.validation import check


def training_length(content, where):
    """Return the TrainingLength in the content of a study's file, whose other settings may come from its grid."""
    stated = {key: value for key, value in content["training"].items() if key in TrainingLength.model_fields}
    return check(TrainingLength, stated, f"{where}: training")


def make_stages(length, checkpoints):
    """Return the Stages of a TrainingLength that keep `checkpoints`."""
    return [
        make_stage(checkpoints, until, previous)
        for previous, until in zip([None, *length.ends], length.ends, strict=False)
    ]


def check_checkpoints(checkpoints, length, wanted, where):
    """Raise UserError where training ends before a checkpoint, or a section wants one that is not kept.

    wanted: {section of the study: its settings, or None}; their `at` is the checkpoints that they read.
    """
    beyond = [at for at in sorted(set(checkpoints)) if at > length.ends[-1]]
    if beyond:
        raise UserError(
            f"{where}: checkpoints: training ends at {length.unit} {length.ends[-1]}, before {numbers(beyond)}"
        )
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
