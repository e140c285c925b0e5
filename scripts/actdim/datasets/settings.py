"""The settings that every data set takes."""

from typing import Annotated

from pydantic import Field

from actdim.validation import Count, Settings, Unit


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
