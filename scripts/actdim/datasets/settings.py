"""The settings that every data set takes."""

from pydantic import Field

from actdim.validation import Count, Named, Settings, Unit


class Augmentation(Settings):
    """How to alter uint8 images for training, at random and in this order."""

    crop: Unit = Field(0, description="pixels of black around the image, before a window of its size is cut out")
    flip: bool = Field(False, description="flip a random half of the images from left to right")
    rotation: float = Field(0.0, ge=0, le=180, description="rotate by up to so many degrees to either side")

    @property
    def is_on(self):
        """Whether any image is altered."""
        return self.crop > 0 or self.flip or self.rotation > 0


class DatasetSettings(Named):
    """What every data set takes, besides the settings of its own function."""

    train_size: Count | None = Field(
        None, description="number of training samples to use, the same ones for every run; null: all of them"
    )
    label_noise: float = Field(
        0.0, ge=0, le=1, description="fraction of the training labels that are replaced by classes drawn at random"
    )
    augmentation: Augmentation = Field(
        Augmentation(), description="how to alter uint8 images for training, at random and in this order"
    )
