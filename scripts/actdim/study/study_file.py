"""What a study's YAML file holds."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from actdim.neighbors.settings import Neighbors
from actdim.study.figures import OF_A_STUDY
from actdim.study.measures import MeasureSections
from actdim.validation import OneOrMore, Settings, Unit, Units


class Activations(Settings):
    """Which activations to store and measure."""

    at: Units = Field(description="checkpoints to measure, all of them kept ones")
    split: OneOrMore[Literal["validation", "train"]] = Field(
        ["validation"], description="samples to measure, of one split or of both"
    )
    layers: OneOrMore[str] = Field(
        ["all"],
        description="modules of the model (with .input: what they read), or input; all: input and those that it lists",
    )
    dtype: Literal["auto", "float32"] = Field(
        "auto",
        description="type to store; auto: float16 in wide layers whose neighbor distances rounding leaves alone",
    )
    by_class: bool = Field(False, description="measure each class by itself, too")
    keep: bool = Field(True, description="keep the files; false: delete each after the last job that needs it")


class TrainedSections(Settings):
    """The sections of a study that train.py reads; all but `checkpoints` are checked run by run, see runs.py."""

    dataset: dict[str, Any] = Field(description="the data set by name, and its settings")
    model: dict[str, Any] = Field(description="the network by name, and its settings")
    training: dict[str, Any] = Field(description="how to train, and how long")
    checkpoints: Annotated[list[Unit], Field(min_length=1)] = Field(
        description="epochs or steps whose checkpoints are kept; 0: before training; the end of a stage is always kept"
    )


class StudyFile(TrainedSections, MeasureSections):
    """A study: trainings over a grid of settings, and what is measured of them."""

    grid: list[dict[str, list]] = Field(
        [{}],
        description=(
            "what varies: each item is a grid, and each combination of its values is one setting, as in "
            "scikit-learn's ParameterGrid; a key is a setting of dataset, model or training, or section.setting"
        ),
    )
    seeds: Annotated[list[Unit], Field(min_length=1)] = Field(
        [0], description="seeds of the random numbers; each setting is trained once for each"
    )
    activations: Activations = Field(description="which activations to store and measure")
    neighbors: Neighbors = Field(
        Neighbors(), description="how to search for neighbors in this study, where it differs from config.yaml"
    )
    figures: list[Literal[OF_A_STUDY]] | None = Field(
        None, description="figures to draw; null: those that the grid has enough runs for"
    )

    @model_validator(mode="after")
    def grid_is_not_empty(self):
        """Every list of the grid has a value."""
        if not self.grid or any(not values for grid in self.grid for values in grid.values()):
            raise ValueError("the grid is empty; every list of it needs a value")
        return self
