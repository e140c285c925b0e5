"""The HDF5 files that programs hand on to each other, read and checked."""

import contextlib
import errno
import json
import os
import shutil
from typing import NamedTuple

import h5py
import numpy as np

from actdim.errors import UserError
from actdim.space import SMALL, Shortage, reserve

FORMAT = 1
INPUT = "input"  # the layer that is the data itself


class Lists(NamedTuple):
    """The nearest neighbors of points."""

    distances: np.ndarray  # (n, k) float32, sorted
    indices: np.ndarray  # (n, k) int32
    decimated: dict  # {part: (n // part, 2) distances to the first two neighbors in a random subset}


@contextlib.contextmanager
def create(path, size=0):
    """Open a new HDF5 file to write, for `size` bytes of data.

    Raises Shortage at once where the disk has no room for them: HDF5, when a write fails, fails in closing the file,
    too, complains of every object by itself, and crashes at last.
    """
    if shutil.disk_usage(path.parent).free < SMALL:
        raise Shortage(errno.ENOSPC, size + SMALL)
    with h5py.File(path, "w") as file:
        make_room(file, size)
        yield file
    os.truncate(path, path.stat().st_size)  # gives back what was reserved in vain


def make_room(file, size):
    """Reserve the disk's room for `size` bytes of data in a file open to write, and for what HDF5 adds to them."""
    reserve(file.id.get_vfd_handle(), size + SMALL)


@contextlib.contextmanager
def open_layer(path, layer):
    """Open one layer of an activations file; yield (points, labels, source).

    points: an HDF5 data set (n, features) as stored; labels: (n,) classes, or None where the file has none.
    source: what the file says of them, for the results to say it too: study, settings, checkpoint, layer, depth,
    feeds_classifier, accuracies and losses, as far as it does.
    Raises UserError where the file or the layer is missing, damaged or of another format.
    """
    with open_file(path, "dump the activations") as file:
        layers = file.get("layers")
        if not isinstance(layers, h5py.Group) or layer not in layers:
            known = ", ".join(layers) if isinstance(layers, h5py.Group) else "no /layers"
            raise UserError(f"{path}: no layer {layer!r}; it has {known}")
        points = layers[layer]
        if points.ndim != 2:
            raise UserError(f"{path}: /layers/{layer} has shape {points.shape}; should be (n, features)")
        attributes = {**file.attrs, **points.attrs}
        source = {key: plain(value) for key, value in attributes.items() if key != "format"}
        labels = file["labels"][:] if "labels" in file else None
        yield points, labels, {**source, "layer": layer}


def open_file(path, remedy):
    """Open an HDF5 file of ours to read; UserError where it is missing, damaged or of another format."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError:
        raise UserError(f"{path}: not a whole HDF5 file; delete it and {remedy} again") from None
    found = file.attrs.get("format", FORMAT)
    if found != FORMAT:
        file.close()
        raise UserError(f"{path}: has format {found}, not {FORMAT}; delete it and {remedy} again")
    return file


def plain(value):
    """Return an HDF5 attribute as a plain Python value: JSON text as what it says, nan and inf (diverged) as None."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist() if np.isfinite(value).all() else None
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def rows_by_class(path, labels):
    """Return [(class, its rows)] of the labels of an activations file; UserError where it has none."""
    if labels is None:
        raise UserError(f"{path}: has no /labels; --by-class needs them")
    return [(int(label), np.flatnonzero(labels == label)) for label in np.unique(labels)]


def write_lists(group, indices, distances, decimated, report):
    """Write neighbor lists and the report of their search to a group of an HDF5 file."""
    group["indices"], group["distances"] = indices, distances
    for part, of_part in decimated.items():
        group[f"decimated/{part}"] = of_part
    group.attrs.update({"k": indices.shape[1], **report})


def read_neighbors(path):
    """Return ([(label, Lists, report)], attributes) of a neighbors file.

    label: None for the neighbors among all points; the class for those within it, of a file that is by class.
    report: of the search; see neighbors.find. Raises UserError where the file is missing, damaged or of another format.
    """
    with open_file(path, "find the neighbors") as file:
        try:
            groups = [(None, file)] if "classes" not in file else [(int(c), g) for c, g in file["classes"].items()]
            lists = [(label, read_lists(group), attributes(group)) for label, group in groups]
        except (KeyError, OSError):
            raise UserError(f"{path}: lacks /distances or /indices; delete it and find the neighbors again") from None
        for _, one, _ in lists:
            if one.distances.ndim != 2 or one.distances.shape != one.indices.shape:
                shapes = f"/distances {one.distances.shape} and /indices {one.indices.shape}"
                raise UserError(f"{path}: {shapes} should both be (n, k)")
        return sorted(lists, key=lambda item: item[0] or 0), attributes(file)


def read_lists(group):
    """Return the Lists of a group of a neighbors file; a file of someone else's may lack the decimated ones."""
    decimated = {int(part): data[:] for part, data in group.get("decimated", {}).items()}
    return Lists(group["distances"][:], group["indices"][:], decimated)


def attributes(group):
    """Return the attributes of a group as plain Python values."""
    return {key: plain(value) for key, value in group.attrs.items()}
