"""What a study's YAML file holds."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from actdim.neighbors.settings import Neighbors
from actdim.study.figures import OF_A_STUDY, OF_OWN_ACTIVATIONS
from actdim.study.measures import MeasureSections
from actdim.validation import OneOrMore, Settings, Unit, Units, without_repeats

LayerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")]  # names of layers, which name files


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


class OwnActivations(Settings):
    """Which files hold the activations, and what is known of them."""

    files: str = Field(
        description=(
            "the files, with wildcards as Snakemake writes them: {layer}, {at} (an epoch or step), {split} "
            "(validation or train) and {seed}; every other one is a setting of the runs"
        )
    )
    layers: Annotated[list[LayerName], Field(min_length=1), AfterValidator(without_repeats)] = Field(
        description="from the first to the last, which feeds the classifier; input is the data itself"
    )
    labels: str | None = Field(
        None, description="file with the class of each sample, an integer or a text; it may have the wildcards of files"
    )
    metrics: str | None = Field(
        None,
        description=(
            "CSV file with a row for each run and {at}; columns: the wildcards, and any of train_accuracy, "
            "validation_accuracy, train_loss and validation_loss"
        ),
    )
    by_class: bool = Field(False, description="measure each class by itself, too")

    @model_validator(mode="after")
    def classes_have_labels(self):
        """Classes are known by their labels."""
        if self.by_class and self.labels is None:
            raise ValueError("by_class needs labels")
        return self


class OwnActivationsFile(Settings):
    """A study of activations in files of the user's own: what they are, and what is measured of them."""

    activations: OwnActivations = Field(description="which files hold the activations, and what is known of them")
    neighbors: Neighbors = Field(
        Neighbors(), description="how to search for neighbors in this study, where it differs from config.yaml"
    )
    figures: list[Literal[OF_OWN_ACTIVATIONS]] | None = Field(
        None, description="figures to draw; null: those that the runs suffice for"
    )

    @model_validator(mode="before")
    @classmethod
    def nothing_needs_a_model(cls, content):
        """Say what is wrong with the sections of a study that trains, or measures a checkpoint."""
        for name in content if isinstance(content, dict) else []:
            if name in (*TrainedSections.model_fields, "grid", "seeds"):
                raise ValueError(f"{name}: activations.files says where the activations are; remove {name}")
            if name in MeasureSections.model_fields:
                raise ValueError(f"{name}: needs checkpoints, and activations.files gives none; remove {name}")
        return content


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
