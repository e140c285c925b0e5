"""What the published image data sets share: their folders, and one line for a missing or corrupt file."""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from actdim.datasets.dataset import Split
from actdim.errors import UserError

# The setting `folder` of the data sets.
Folder = Annotated[str, Field(description="holds the published files; the default one is downloaded if it is missing")]


def default_folder(name):
    """Return the folder to which the rule download_dataset downloads a data set."""
    return Path("data", name)


def require_folder(name, folder):
    """Raise UserError for a folder that does not exist, unless it is the default one, which is downloaded to."""
    if Path(folder) != default_folder(name) and not Path(folder).is_dir():
        raise UserError(
            f"dataset.folder: {folder}: no such folder; leave out `folder` to have {name} in {default_folder(name)}, "
            "downloaded where it is missing"
        )


def read(name, folder, files, read_split):
    """Return {split: Split} of a data set as torchvision reads it.

    files: {split: {path inside `folder`: MD5 of the published file, or None}}; read_split(split): returns uint8 images
    (n, channels, height, width) and their labels (n,), and may fail in any way. The index of a sample is its row in the
    published split. Raises UserError that names what is missing or corrupt.
    """
    splits = {}
    for split in files:
        try:
            images, labels = read_split(split)
            if len(images) != len(labels):
                raise ValueError(f"{len(images)} images and {len(labels)} labels")
        except Exception as error:  # of any kind: it depends on the bytes
            raise reading_error(name, folder, files, split, error) from None
        splits[split] = Split(
            np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64), np.arange(len(labels), dtype=np.int64)
        )
    return splits


def reading_error(name, folder, files, split, error):
    """Return the UserError for a split that could not be read: the first missing or corrupt file, and the remedy."""
    from torchvision.datasets.utils import check_integrity

    program = f"scripts/download_dataset.py --dataset {name} --output {folder}"
    if not Path(folder).is_dir():
        return UserError(f"{folder}: no such folder; download {name} to it by {program}, or copy its files there")
    remedy = f"copy it there, or move the folder away and download {name} by {program}"
    for file, md5 in {path: md5 for paths in files.values() for path, md5 in paths.items()}.items():
        if not Path(folder, file).is_file():
            return UserError(f"{Path(folder, file)}: missing; {remedy}")
        if not check_integrity(Path(folder, file), md5):
            return UserError(f"{Path(folder, file)}: corrupt: its MD5 is not that of the published file; {remedy}")
    reason = " ".join(f"{type(error).__name__} {error}".split())
    return UserError(f"{folder}: corrupt: {' or '.join(files[split])} ({reason}); {remedy}")
