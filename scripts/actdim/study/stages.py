"""The stages of training, and the epochs or steps that keep a checkpoint."""

from actdim.errors import UserError
from actdim.training.settings import Length, stages
from actdim.validation import check


def stages_of_study(study, where):
    """Return `stages` of the content of a study's file, whose other settings of training may come from its grid."""
    stated = {key: value for key, value in study["training"].items() if key in Length.model_fields}
    return stages(check(Length, stated, f"{where}: training"))


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


def stage_of(study, at):
    """Return the end of the stage whose job keeps the checkpoint of an epoch or step."""
    return next(until for until in study.stages if at <= until)


def evaluated(study, training, start, until):
    """Return the epochs or steps after `start`, up to `until`, that have a row in metrics.csv."""
    every = training["evaluate_every"]
    regular = range((start // every + 1) * every, until + 1, every)
    return sorted({*regular, *(at for at in study.kept if start < at <= until)})
