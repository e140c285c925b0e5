"""The settings of one run: the dataset, model and training sections of a study, with the run's own choices."""

import difflib
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, WrapValidator, model_validator

from actdim import registered, registry
from actdim.errors import UserError
from actdim.registered import Settings

SECTIONS = ("dataset", "model", "training")
BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # would break a name, or the line of a message
Count = Annotated[int, Field(ge=1)]
Unit = Annotated[int, Field(ge=0)]  # an epoch or step
NonNegative = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]
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


class Checkpoints(Settings):
    """The epochs or steps of which to keep a checkpoint."""

    checkpoints: Annotated[list[Unit], Field(min_length=1)]


class Augmentation(Settings):
    """How to alter uint8 images for training, at random and in this order."""

    crop: Unit = 0  # pixels of black around the image, before a window of its size is cut out
    flip: bool = False  # left to right, every other one
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, to either side


class Dataset(Settings):
    """What every data set takes, beside its own settings."""

    train_size: Count | None = None  # as many of the training samples; None: all
    label_noise: Annotated[float, Field(ge=0, le=1)] = 0.0  # the fraction of training labels to replace
    augmentation: Augmentation = Augmentation()


REGISTERED = {"dataset": (registry.DATASETS, Dataset), "model": (registry.MODELS, Settings)}


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


def stages_of_study(study, where):
    """Return `stages` of the content of a study's file, whose other settings of training may come from its grid."""
    stated = {key: value for key, value in study["training"].items() if key in Length.model_fields}
    return stages(check(Length, stated, f"{where}: training"))


def digest(settings):
    """Return a short text that changes with the content of plain settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def read_yaml(path):
    """Return the mapping that a YAML file holds; UserError where it is missing, damaged or something else."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: should hold keys and values")
    check_texts(content, str(path))
    return content


def check_texts(content, where):
    """Raise UserError where a text in nested keys and values has a line break or another control character."""
    if isinstance(content, str) and BREAKS.search(content):
        raise UserError(f"{where}: {content!r} has a line break or another control character")
    parts = [*content, *content.values()] if isinstance(content, dict) else content
    for part in parts if isinstance(parts, list) else []:
        try:
            check_texts(part, where)
        except RecursionError:
            raise UserError(f"{where}: refers to itself") from None


def check(schema, content, where):
    """Return `content` as an instance of the pydantic model `schema`.

    Raises UserError with one line for each mistake: `where`, the key, what is wrong and what would be right.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as mistakes:
        raise UserError("\n".join(describe(schema, mistake, where) for mistake in mistakes.errors())) from None


def describe(schema, mistake, where):
    """Return the line for one of pydantic's mistakes."""
    place = [str(part) for part in mistake["loc"]]
    key = ".".join(place)
    start = f"{where}{': ' if where.endswith(('.yaml', '.yml')) or not key else '.'}{key}".removesuffix(": ")
    if mistake["type"] == "extra_forbidden":
        known = list(schema.model_fields) if len(place) == 1 else []
        close = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; known: {', '.join(known)}" if known else ""
        return f"{start}: unknown key{hint}"
    if mistake["type"] == "missing":
        return f"{start}: missing"
    if mistake["type"] == "value_error":
        return f"{start}: {mistake['ctx']['error']}"
    return f"{start}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}, not {mistake['input']!r}"


def run_settings(study, chosen, where):
    """Return the settings of the run of a study that the grid values `chosen` and a seed make.

    study: the content of a study's YAML file; chosen: {grid key: value, ..., "seed": int}.
    Returns plain nested dicts with every default filled in: dataset, model, training and seed; the length of
    training is not among them (see `stages`), for a run that trains longer is the same run.
    Raises UserError that names `where`, the key and what would be right.
    """
    sections = {}
    for section in SECTIONS:
        content = study.get(section)
        if not isinstance(content, dict):
            raise UserError(f"{where}: {section}: {'missing' if content is None else 'should hold keys and values'}")
        sections[section] = dict(content)
    # Names first, for they decide which other settings there are.
    for key in sorted(chosen.keys() - {"seed"}, key=lambda key: (not key.endswith(".name"), key)):
        section, name = locate(key, sections, where)
        sections[section][name] = chosen[key]
    training = check(Training, sections["training"], f"{where}: training")
    return {
        **{name: check_registered(name, sections[name], f"{where}: {name}") for name in REGISTERED},
        "training": training.model_dump(mode="json", exclude={"epochs", "steps"}),
        "seed": check(Seed, {"seed": chosen.get("seed", 0)}, where).seed,
    }


def locate(key, sections, where):
    """Return (section, setting) for a grid key: `weight_decay`, or `model.name` where two sections have it."""
    if key.removeprefix("training.") in ("epochs", "steps"):
        raise UserError(f"{where}: {key}: is the same for all runs of a study; state it in training")
    known = {name: schema_of(name, sections[name], f"{where}: {name}").model_fields for name in REGISTERED}
    known["training"] = Training.model_fields
    section, dot, name = key.rpartition(".")
    places = [s for s, fields in known.items() if name in fields and (s == section or not dot)]
    if len(places) == 1:
        return places[0], name
    every = sorted({name for fields in known.values() for name in fields})
    if places:
        raise UserError(f"{where}: {key}: could be {' or '.join(f'{s}.{name}' for s in places)}; write one of them")
    close = difflib.get_close_matches(name, every, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(every)}"
    raise UserError(f"{where}: {key}: no setting of dataset, model or training; {hint}")


def schema_of(kind, section, where):
    """Return the pydantic model of a dataset or model section; UserError where it names no known function."""
    table, base = REGISTERED[kind]
    if "name" not in section:
        raise UserError(f"{where}.name: missing; known: {', '.join(table)}")
    try:
        return registered.settings_of(registered.find(table, section["name"]), base)
    except UserError as error:
        raise UserError(f"{where}.name: {error}") from None


def check_registered(kind, section, where):
    """Return a dataset or model section as a dict with every default filled in."""
    return check(schema_of(kind, section, where), section, where).model_dump(mode="json")
