"""The stages of training, one job each: where they begin and end, what they keep and when they evaluate."""

from typing import Any, Literal

from actdim.training.settings import RunSettings
from actdim.validation import Settings, Unit


class Stage(Settings):
    """A stage of training. All its numbers are epochs or steps."""

    previous: Unit | None  # where the stage before it ended; None for the first stage
    until: Unit  # where it ends
    kept: list[Unit]  # which checkpoints it keeps, sorted; the last one is `until`

    @property
    def start(self):
        """Where it begins."""
        return self.previous or 0

    @property
    def first_row(self):
        """The first epoch or step that may have a row in its metrics.csv: 0, or the first behind the stage before."""
        return 0 if self.previous is None else self.previous + 1

    def evaluated(self, every):
        """Return the sorted epochs or steps with a row in its metrics.csv: the kept ones and every `every`-th."""
        regular = (unit for unit in range(self.first_row, self.until + 1) if unit % every == 0)
        return sorted({*regular, *self.kept})


def make_stage(checkpoints, until, previous=None):
    """Return the Stage from `previous` (None: from the start) to `until` that keeps those of `checkpoints` in it."""
    first = 0 if previous is None else previous + 1
    return Stage(
        previous=previous, until=until, kept=sorted({*(at for at in checkpoints if first <= at <= until), until})
    )


class TrainingJob(Settings):
    """The training of one stage of a run, as its checkpoints and its run.json state it."""

    study: str
    chosen: dict[str, Any]  # what tells the run from the others of its study: {"weight_decay": 0.001, "seed": 0}
    settings: RunSettings
    unit: Literal["epochs", "steps"]
    stage: Stage
    made_by: dict[str, Any]  # see provenance.made_by
