"""The user's own images, in a folder for each class."""

import functools
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from actdim.datasets.dataset import DataSet, Split
from actdim.errors import UserError
from actdim.storage.watched_files import Watched

# The endings of files that torchvision's ImageFolder reads.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SPLITS = ("train", "validation")
SHOWN = 3  # hidden names in a line


def all_images(folder):
    """Return the paths of all images in a folder, of both splits."""
    splits = (list_images(os.path.join(folder, split)) for split in SPLITS)
    return [path for classes in splits for paths in classes.values() for path in paths]


Deviation = Annotated[float, Field(gt=0)]


def imagefolder(
    *,
    folder: Annotated[
        str, Field(description="holds train/<class>/ and validation/<class>/ with images"), Watched(all_images)
    ],
    size: Annotated[int, Field(ge=1, description="pixels of each side, after resizing and cropping")] = 224,
    resize: Annotated[
        int | None, Field(ge=1, description="pixels of the shorter side, before the center is cut out; null: size")
    ] = None,
    interpolation: Annotated[Literal["bilinear", "bicubic"], Field(description="how to resize")] = "bilinear",
    mean: Annotated[
        tuple[float, float, float],
        Field(description="means of red, green and blue to normalize by, of values from 0 to 1"),
    ] = (0.485, 0.456, 0.406),
    std: Annotated[
        tuple[Deviation, Deviation, Deviation],
        Field(description="standard deviations of red, green and blue to normalize by"),
    ] = (
        0.229,
        0.224,
        0.225,
    ),
) -> DataSet:
    """Images `train/<class>/*` and `validation/<class>/*` in a folder, as torchvision's ImageFolder finds them.

    Hidden names, which begin with a dot, are left out and counted. An image is turned as its EXIF orientation says,
    converted to RGB, its shorter side resized to `resize` pixels, and the center of size x size cut out. All are held
    in memory, 3 x size x size bytes an image. mean, std: to normalize red, green and blue by; the defaults are those of
    ImageNet. Classes are numbered in the order of their names, samples in the order of their paths.
    Raises UserError where train/ and validation/ do not hold the same classes, or a class has no image.
    """
    resize = resize or size
    if resize < size:
        raise UserError(f"dataset.resize: {resize} is less than size, {size}; should be as large or larger")
    files = {split: list_images(os.path.join(folder, split)) for split in SPLITS}
    for split, other in (("train", "validation"), ("validation", "train")):
        for name in files[split].keys() - files[other].keys():
            raise UserError(f"dataset.folder: {folder}/{split} has a class {name!r} and {folder}/{other} has none")
    return DataSet(
        shape=(3, size, size),
        classes=len(files["train"]),
        sizes={split: sum(map(len, classes.values())) for split, classes in files.items()},
        load=lambda: {split: load(classes, size, resize, interpolation) for split, classes in files.items()},
        mean=tuple(mean),
        std=tuple(std),
        class_names=tuple(files["train"]),
    )


@functools.cache
def list_images(folder):
    """Return {class: its image files}, both sorted, of a folder with a folder for each class.

    Raises UserError where there is no such folder, no class in it, or no image in a class.
    """
    if not Path(folder).is_dir():
        raise UserError(
            f"dataset.folder: {folder}: no such folder; images should be in train/<class> and validation/<class>"
        )
    classes, hidden = {}, []
    for name in visible((entry.name for entry in os.scandir(folder) if entry.is_dir()), folder, hidden):
        classes[name] = images_in(os.path.join(folder, name), hidden)
        if not classes[name]:
            raise UserError(f"dataset.folder: {folder}/{name}: no image in it; they end in {', '.join(ENDINGS)}")
    if not classes:
        raise UserError(f"dataset.folder: {folder}: should hold a folder for each class, with its images")
    if hidden:
        names = [os.path.relpath(path, folder) for path in hidden[:SHOWN]]
        shown = ", ".join([*names, "..."] if len(hidden) > SHOWN else names)
        print(f"{folder}: {len(hidden)} hidden files or folders left out: {shown}", file=sys.stderr)
    return classes


def images_in(folder, hidden):
    """Return the image files in a folder and those below it, sorted by folder; add hidden ones to the list `hidden`."""
    found = {}
    for directory, folders, files in os.walk(folder, followlinks=True):
        folders[:] = visible(folders, directory, hidden)
        found[directory] = visible((file for file in files if file.lower().endswith(ENDINGS)), directory, hidden)
    return [os.path.join(directory, file) for directory, files in sorted(found.items()) for file in files]


def visible(names, directory, hidden):
    """Return the sorted names that do not begin with a dot; add the paths of the others to the list `hidden`."""
    names = sorted(names)
    hidden += [os.path.join(directory, name) for name in names if name.startswith(".")]
    return [name for name in names if not name.startswith(".")]


def load(classes, size, shorter_side, interpolation):
    """Return the Split of {class: its image files}; UserError that names a file that is not an image."""
    from PIL import Image, ImageOps
    from torchvision.transforms.functional import InterpolationMode, center_crop, resize

    paths = [path for files in classes.values() for path in files]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()])
    images = np.empty((len(paths), 3, size, size), dtype=np.uint8)
    for image, path in zip(images, paths, strict=True):
        try:
            with Image.open(path) as opened:
                if opened.mode.startswith(("I", "F")):  # convert() would clip their values at 255
                    raise UserError(f"{path}: an image of more than 8 bits a color; save it with 8")
                upright = ImageOps.exif_transpose(opened).convert("RGB")
                resized = resize(upright, shorter_side, InterpolationMode(interpolation))
                image[:] = np.asarray(center_crop(resized, size)).transpose(2, 0, 1)
        except UserError:
            raise
        except Exception as error:  # of any kind: it depends on the bytes
            raise UserError(f"{path}: not an image that can be read ({' '.join(str(error).split())})") from None
    return Split(images, labels, np.arange(len(paths)))
