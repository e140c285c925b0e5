"""How to train, as a study states it."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, WrapValidator, model_validator

from actdim.validation import Count, NonNegative, Rate, Settings, Unit

# The ends of the stages of training, one job each; one number is one stage.
Stages = Annotated[
    list[Unit], Field(min_length=1), BeforeValidator(lambda ends: ends if isinstance(ends, list) else [ends])
]


def balanced_or_stated(value, checked):
    """Say of wrong weights of the classes in one line what would be right."""
    try:
        return checked(value)
    except ValidationError:
        raise ValueError(f"should be balanced, or a list with a number above 0 for each class, not {value!r}") from None


# balanced: n / (classes * n of the class). None is 0, for a batch may have samples of that class alone.
ClassWeights = Annotated[
    Literal["balanced"] | list[Annotated[float, Field(gt=0)]] | None, WrapValidator(balanced_or_stated)
]


class Seed(Settings):
    """What makes runs of the same settings differ."""

    seed: Unit = 0


class Schedule(Settings):
    """The learning rate over training, as a factor of `lr`; lengths in the study's unit, epochs or steps."""

    name: Literal["constant", "cosine", "steps"] = "constant"
    length: Count | None = None  # of the cosine, down to 0; None: all of training
    at: list[Count] = []  # of steps: where the rate falls
    factor: Annotated[float, Field(gt=0)] = 0.1  # of steps: by which it does
    warmup: Unit = 0  # linear from 0

    @model_validator(mode="before")
    @classmethod
    def name_alone(cls, content):
        """Let `cosine` stand for `{name: cosine}`."""
        return {"name": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def steps_are_stated(self):
        """A rate that falls in steps says where."""
        if (self.name == "steps") != bool(self.at):
            raise ValueError("write where the rate falls: {name: steps, at: [60, 120], factor: 0.2}")
        return self


class Bottleneck(Settings):
    """The autoencoder-bottleneck regularizer; see bottleneck.py."""

    layer: str
    width: Count  # of the code
    weight: Annotated[float, Field(gt=0)] = 1.0  # of the reconstruction error in the loss
    burn_in: Unit = 0  # epochs or steps in which the autoencoder alone learns from it


class Length(Settings):
    """How long to train."""

    epochs: Stages | None = None  # 0: the model as it comes, such as pretrained
    steps: Stages | None = None

    @model_validator(mode="after")
    def is_clear(self):
        """It is in either epochs or steps, and stages follow each other."""
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("state either epochs or steps")
        unit, ends = stages(self)
        if ends != sorted(set(ends)):
            raise ValueError(f"{unit} should be one number or several that increase")
        return self


class Training(Length):
    """How to train."""

    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"  # adam: coupled L2; adamw: decoupled weight decay
    lr: Annotated[float, Field(gt=0)]
    momentum: Rate = 0.0  # of sgd
    betas: tuple[Rate, Rate] = (0.9, 0.999)  # of adam and adamw
    weight_decay: NonNegative = 0.0
    schedule: Schedule = Schedule()
    batch_size: Count
    class_weights: ClassWeights = None
    bottleneck: Bottleneck | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 (mixed) on a GPU, float32 on a CPU
    compile: bool = False  # by torch.compile
    evaluate_every: Count = 1  # epochs or steps between rows of metrics.csv
    threads: Count = 1  # CPU threads of a run; its result depends on them

    @model_validator(mode="before")
    @classmethod
    def nothing_to_state(cls, content):
        """A model that is not trained, epochs: 0, needs no learning rate."""
        untrained = isinstance(content, dict) and 0 in (content.get("epochs"), content.get("steps"))
        return {"lr": 1.0, "batch_size": 1, **content} if untrained else content

    @model_validator(mode="after")
    def cosine_has_a_length(self):
        """A cosine spans all of training where it has no length of its own."""
        _, ends = stages(self)
        if self.schedule.name == "cosine" and self.schedule.length is None:
            if len(ends) > 1:
                raise ValueError(
                    "a cosine over several stages states its length: schedule: {name: cosine, length: 200}"
                )
            self.schedule = self.schedule.model_copy(update={"length": max(1, ends[0])})
        if self.schedule.name == "cosine" and ends[-1] > self.schedule.length:
            raise ValueError(f"the cosine's length {self.schedule.length} should reach the end of training, {ends[-1]}")
        return self


def stages(length):
    """Return ("epochs" or "steps", the ends of the stages) of a Length."""
    return ("steps", length.steps) if length.epochs is None else ("epochs", length.epochs)
