"""How to train, as a study states it, and all settings of a run."""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from actdim import plugins, registry
from actdim.datasets.settings import DatasetSettings
from actdim.provenance import settings_that_count
from actdim.storage.watched_files import content_digests
from actdim.validation import ALREADY_CHECKED, Count, Named, NonNegative, OrOneItem, Rate, Settings, Unit, any_settings

# The ends of the stages of training, one job each; one number is one stage.
Stages = Annotated[
    list[Unit],
    Field(min_length=1),
    BeforeValidator(lambda ends: ends if isinstance(ends, list) else [ends]),
    OrOneItem(),
]


def balanced_or_stated(value, checked):
    """Say in one line what would be right where the weights of the classes are wrong."""
    try:
        return checked(value)
    except ValidationError:
        raise ValueError(f"should be balanced, or a list with a number above 0 for each class, not {value!r}") from None


# A list with a weight of 0 is refused, because a batch may have samples of that class alone.
ClassWeights = Annotated[
    Literal["balanced"] | list[Annotated[float, Field(gt=0)]] | None, WrapValidator(balanced_or_stated)
]


class Schedule(Settings):
    """The learning rate over training, as a factor of `lr`; lengths in the study's unit, epochs or steps."""

    name: Literal["constant", "cosine", "steps"] = Field("constant", description="how the learning rate changes")
    length: Count | None = Field(
        None, description="where a cosine reaches 0; null: at the end of training, if that has one stage"
    )
    at: list[Count] = Field([], description="where the learning rate falls in steps")
    factor: float = Field(0.1, gt=0, description="what the learning rate is multiplied by at each step")
    warmup: Unit = Field(0, description="length of a linear warm-up from 0")

    @model_validator(mode="before")
    @classmethod
    def name_alone(cls, content):
        """Let `cosine` stand for `{name: cosine}`."""
        return {"name": content} if isinstance(content, str) else content

    @classmethod
    def __get_pydantic_json_schema__(cls, schema, handler):
        """Allow the name alone in the JSON Schema, too."""
        mapping = handler(schema)
        name = handler.resolve_ref_schema(mapping)["properties"]["name"]
        return {"anyOf": [{"enum": name["enum"], "type": "string"}, mapping]}

    @model_validator(mode="after")
    def steps_are_stated(self):
        """A rate that falls in steps says where."""
        if (self.name == "steps") != bool(self.at):
            raise ValueError("write where the rate falls: {name: steps, at: [60, 120], factor: 0.2}")
        return self


class Bottleneck(Settings):
    """An autoencoder whose reconstruction error joins the loss, which makes a layer simpler."""

    layer: str = Field(description="the module whose output the autoencoder reconstructs")
    width: Count = Field(description="numbers in the code")
    weight: float = Field(1.0, gt=0, description="weight of the reconstruction error in the loss")
    burn_in: Unit = Field(0, description="epochs or steps in which the autoencoder learns and the model ignores it")


class TrainingSettings(Settings):
    """How to train, except for how long."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        "sgd", description="adam: weight decay is an L2 term of the loss; adamw: it is decoupled"
    )
    lr: float = Field(gt=0, description="learning rate, before its schedule")
    momentum: Rate = Field(0.0, description="momentum of sgd")
    betas: tuple[Rate, Rate] = Field((0.9, 0.999), description="decay rates of the moments of adam and adamw")
    weight_decay: NonNegative = Field(0.0, description="strength of the weight decay of all parameters")
    schedule: Schedule = Field(Schedule(), description="the learning rate over training")
    batch_size: Count = Field(description="samples in a batch; an epoch leaves out the rest that fills no batch")
    class_weights: ClassWeights = Field(
        None,
        description="weights of the classes in the loss: a number for each; balanced: n / (classes x n of the class)",
    )
    bottleneck: Bottleneck | None = Field(None, description="an autoencoder whose reconstruction error joins the loss")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="precision of the forward pass; auto: bfloat16 (mixed) on a GPU, float32 on a CPU"
    )
    compile: bool = Field(False, description="compile the model by torch.compile")
    evaluate_every: Count = Field(1, description="epochs or steps between two rows of metrics.csv")
    threads: Count = Field(1, description="CPU threads of a run; its weights depend on them")


class TrainingLength(Settings):
    """How long to train, in stages with a job each."""

    epochs: Stages | None = Field(
        None, description="where training ends, or the ends of its stages; 0: the model is not trained"
    )
    steps: Stages | None = Field(None, description="the same in steps of the optimizer, in place of epochs")

    @model_validator(mode="after")
    def is_clear(self):
        """It is in either epochs or steps, and stages follow each other."""
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("state either epochs or steps")
        if self.ends != sorted(set(self.ends)):
            raise ValueError(f"{self.unit} should be one number or several that increase")
        return self

    @property
    def unit(self):
        """epochs or steps."""
        return "epochs" if self.steps is None else "steps"

    @property
    def ends(self):
        """Where the stages end."""
        return self.epochs if self.steps is None else self.steps


class TrainingSection(TrainingLength, TrainingSettings):
    """The section `training` of a study."""

    @model_validator(mode="before")
    @classmethod
    def nothing_to_state(cls, content):
        """A model that is not trained, epochs: 0, needs no learning rate."""
        untrained = isinstance(content, dict) and 0 in (content.get("epochs"), content.get("steps"))
        return {"lr": 1.0, "batch_size": 1, **content} if untrained else content

    @model_validator(mode="after")
    def cosine_has_a_length(self):
        """A cosine spans all of training where it has no length of its own."""
        if self.schedule.name == "cosine":
            if self.schedule.length is None and len(self.ends) > 1:
                raise ValueError(
                    "a cosine over several stages states its length: schedule: {name: cosine, length: 200}"
                )
            if self.ends[-1] > (self.schedule.length or self.ends[-1]):
                raise ValueError(
                    f"the cosine's length {self.schedule.length} should reach the end of training, {self.ends[-1]}"
                )
        return self

    def without_length(self):
        """Return the TrainingSettings, with the length that a cosine has."""
        settings = {name: getattr(self, name) for name in TrainingSettings.model_fields}
        if self.schedule.name == "cosine" and self.schedule.length is None:
            settings["schedule"] = self.schedule.model_copy(update={"length": max(1, self.ends[0])})
        return TrainingSettings(**settings)


# Sections that name a function: {section: (the table of known functions, the settings that all of them take)}.
NAMED_SECTIONS = {"dataset": (registry.DATASETS, DatasetSettings), "model": (registry.MODELS, Named)}


def run_settings_that_count(settings):
    """Return what decides about the numbers of a run: its RunSettings that count, and the content of files they name.

    The latter is {path: digest} under "files", if there are any. Raises UserError where a file is missing.
    """
    files = content_digests({section: getattr(settings, section) for section in NAMED_SECTIONS})
    return {**settings_that_count(settings), **({"files": files} if files else {})}


class RunSettings(Settings):
    """The settings that determine a run's numbers; the length of training is none: trained longer, it is the same run.

    `dataset` and `model` also have the settings of the functions that they name. Stored as the plain values of
    model_dump(mode="json"), it is read back by `check`; keys that an older version lacked get their defaults.
    """

    dataset: SerializeAsAny[DatasetSettings]
    model: SerializeAsAny[Named]
    training: TrainingSettings
    seed: Unit = 0

    @field_validator(*NAMED_SECTIONS, mode="before")
    @classmethod
    def has_settings_of_its_function(cls, content, info):
        """Check a section by the signature of the function that it names."""
        if not isinstance(content, dict):
            return content
        table, base = NAMED_SECTIONS[info.field_name]
        if info.context == ALREADY_CHECKED:  # does not import the function's module, which may take seconds
            return any_settings(base).model_validate(content)
        return plugins.settings_model(table, content.get("name"), base).model_validate(content)
