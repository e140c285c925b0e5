"""The HDF5 files that programs hand on to each other, written so that damage is found, read and checked."""

import contextlib
import errno
import json
import os
import shutil

import h5py
import numpy as np

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE
from actdim.storage.checksums import checksum_of
from actdim.storage.disk_space import SMALL, Shortage, reserve

FORMAT = 2


PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EIO, errno.ESTALE)  # a file in use, a disk out of reach


IN_MEMORY = "core"  # HDF5's driver of a file that lies nowhere else, of which plan.py times a dump


LIBRARY = ("v110", "v110")  # of HDF5: the first with checksums of all that says where data lie


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
            raise UserError(f"{path}: has format {found}, not {FORMAT}; {REMAKE}")
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
            raise UserError(f"{path}: cannot be read now ({reason}); if it stays so, {REMAKE}") from None
        raise UserError(f"{path}: not a whole HDF5 file ({reason}); if it is one of actdim's, {REMAKE}") from None


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
