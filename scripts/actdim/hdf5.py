"""The HDF5 files that programs hand on to each other, written so that damage is found, read and checked."""

import contextlib
import errno
import json
import os
import shutil
from typing import NamedTuple

import h5py
import numpy as np

from actdim.checksums import checksum_of
from actdim.errors import UserError
from actdim.files import AGAIN
from actdim.layers import Layer
from actdim.space import SMALL, Shortage, reserve

FORMAT = 2
INPUT = "input"  # the layer that is the data itself
PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EIO, errno.ESTALE)  # a file in use, a disk out of reach
IN_MEMORY = "core"  # HDF5's driver of a file that lies nowhere else, of which plan.py times a dump
LIBRARY = ("v110", "v110")  # of HDF5: the first with checksums of all that says where data lie


class Lists(NamedTuple):
    """The nearest neighbors of points."""

    distances: np.ndarray  # (n, k) float32, sorted
    indices: np.ndarray  # (n, k) int32
    decimated: dict  # {part: (n // part, 2) distances to the first two neighbors in a random subset}


def note(thing, about):
    """Write attributes of a file, group or data set, dicts as JSON, and none where there is no value (None).

    Texts are of fixed length, for HDF5 puts others where none check them: in its global heap, of which one wrong byte
    can keep it busy for good.
    """
    for key, value in about.items():
        if value is None:
            continue
        if isinstance(value, dict):
            value = json.dumps(value)
        if isinstance(value, str):
            value = np.array(value.encode(), dtype=h5py.string_dtype("utf-8", max(1, len(value.encode()))))
        thing.attrs[key] = value


def seal(thing, *content):
    """Note the checksum of the attributes of a file, group or data set, and of the content that it answers for."""
    note(thing, {"checksum": checksum_of(attributes(thing), *content)})


def require_sealed(thing, *content):
    """Return the attributes of what `seal` has sealed; ValueError where its checksum is not that of its content."""
    about = attributes(thing)
    if plain(thing.attrs["checksum"]) != checksum_of(about, *content):
        raise ValueError(f"the checksum of {thing.name} is not that of its content")
    return about


def seal_rows(data, sums):
    """Store what layers.of_rows gives of a data set (n, features) beside it, and seal it with them."""
    data.file[f"checksums{data.name}"] = sums
    seal(data, str(data.dtype), data.shape, sums)


@contextlib.contextmanager
def create(path, size=0):
    """Open a new HDF5 file to write, for `size` bytes of data.

    Raises Shortage at once where the disk has no room for them: HDF5, when a write fails, fails in closing the file,
    too, complains of every object by itself, and crashes at last.
    """
    if shutil.disk_usage(path.parent).free < SMALL:
        raise Shortage(errno.ENOSPC, size + SMALL)
    with h5py.File(path, "w", libver=LIBRARY, locking=False) as file:  # files.whole has locked it
        make_room(file, size)
        yield file
    os.truncate(path, path.stat().st_size)  # gives back what was reserved in vain


def make_room(file, size):
    """Reserve the disk's room for `size` bytes of data in a file open to write, and for what HDF5 adds to them."""
    if file.driver != IN_MEMORY:
        reserve(file.id.get_vfd_handle(), size + SMALL)


def flush_data(file):
    """Wait until the values written so far to a file open to write are on disk."""
    if file.driver != IN_MEMORY:
        os.fsync(file.id.get_vfd_handle())


@contextlib.contextmanager
def open_layer(path, layer):
    """Open one layer of an activations file; yield (points, labels, source).

    points: a layers.Layer (n, features) as stored; labels: (n,) classes, or None where the file has none.
    source: what the file says of them, for the results to say it too: study, settings, checkpoint, layer, depth,
    feeds_classifier, accuracies and losses, as far as it does.
    Raises UserError where the file or the layer is missing, damaged or of another format. A file of someone else's,
    of which the format is no number, has no checksums.
    """
    with open_file(path) as (file, ours):
        with damage(path):
            layers = file.get("layers")
            if not isinstance(layers, h5py.Group) or layer not in layers:
                known = ", ".join(layers) if isinstance(layers, h5py.Group) else "no /layers"
                raise UserError(f"{path}: no layer {layer!r}; it has {known}")
            data = layers[layer]
            if data.ndim != 2:
                raise UserError(f"{path}: /layers/{layer} has shape {data.shape}; should be (n, features)")
            labels = file["labels"][:] if "labels" in file else None
            sums = file[f"checksums{data.name}"][:] if ours else None
            if ours:
                require_sealed(file["labels"], labels)
                source = {**require_sealed(file), **require_sealed(data, str(data.dtype), data.shape, sums)}
            else:
                source = {**simple_attributes(file), **simple_attributes(data)}
            source["layer"] = layer
            source.pop("format", None)
        yield Layer(path, data, sums), labels, source


@contextlib.contextmanager
def open_file(path):
    """Open an HDF5 file to read; yield (file, whether it is ours).

    Raises UserError where it is missing, damaged or of another format.
    """
    with damage(path):
        try:
            file = h5py.File(path, "r")
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        found = file.attrs.get("format")
        ours = isinstance(found, np.integer)
    with file:
        if ours and found != FORMAT:
            raise UserError(f"{path}: has format {found}, not {FORMAT}; {AGAIN}")
        yield file, ours


@contextlib.contextmanager
def damage(path):
    """Turn what damaged bytes lead HDF5 to, which depends on the bytes, into a UserError that names the file."""
    try:
        yield
    except (UserError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in PASSING:
            raise UserError(f"{path}: cannot be read now ({reason}); if it stays so, {AGAIN}") from None
        raise UserError(f"{path}: not a whole HDF5 file ({reason}); if it is one of actdim's, {AGAIN}") from None


def attributes(thing):
    """Return the attributes of a file, group or data set, but its checksum, as plain Python values."""
    return {key: plain(value) for key, value in thing.attrs.items() if key != "checksum"}


def simple_attributes(thing):
    """Return those attributes of someone else's file or data set that are a number, a text or JSON."""
    found = {}
    for key, value in thing.attrs.items():
        if isinstance(value, str | bytes | np.number | np.bool_):
            with contextlib.suppress(ValueError):  # {not JSON}, not UTF-8
                found[key] = plain(value)
    return found


def plain(value):
    """Return an HDF5 attribute as a plain Python value: JSON text as what it says, nan and inf (diverged) as None."""
    if isinstance(value, bytes):
        value = value.decode()
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
    note(group, {"k": indices.shape[1], **report})


def seal_neighbors(file, about):
    """Write the attributes of a neighbors file, which then holds all, and its checksum."""
    note(file, {"format": FORMAT, **about})
    seal(file, *content(file))


def content(group):
    """Return [name, attributes or array, ...] of all that lies in a group."""
    found = []

    def visit(name, thing):
        found.extend([name, attributes(thing) if isinstance(thing, h5py.Group) else thing[()]])

    group.visititems(visit)
    return found


def read_neighbors(path):
    """Return ([(label, Lists, report)], attributes) of a neighbors file.

    label: None for the neighbors among all points; the class for those within it, of a file that is by class.
    report: of the search; see neighbors.find. Raises UserError where the file is missing, damaged or of another format.
    """
    with open_file(path) as (file, ours), damage(path):
        stored = content(file)
        about = require_sealed(file, *stored) if ours else simple_attributes(file)
        found = dict(zip(stored[::2], stored[1::2], strict=True))
    classes = sorted(int(name.split("/")[1]) for name in found if name.startswith("classes/") and name.count("/") == 1)
    if not classes:
        return [(None, lists_at(path, "", found), about)], about
    return [(label, lists_at(path, f"classes/{label}/", found), found[f"classes/{label}"]) for label in classes], about


def lists_at(path, place, found):
    """Return the Lists in a group of a neighbors file; a file of someone else's may lack the decimated ones."""
    if not {f"{place}distances", f"{place}indices"} <= found.keys():
        raise UserError(f"{path}: lacks /{place}distances or /{place}indices; {AGAIN}")
    distances, indices = found[f"{place}distances"], found[f"{place}indices"]
    if distances.ndim != 2 or distances.shape != indices.shape:
        shapes = f"/{place}distances {distances.shape} and /{place}indices {indices.shape}"
        raise UserError(f"{path}: {shapes} should both be (n, k)")
    start = f"{place}decimated/"
    decimated = {int(name.removeprefix(start)): of for name, of in found.items() if name.startswith(start)}
    return Lists(distances, indices, dict(sorted(decimated.items())))
