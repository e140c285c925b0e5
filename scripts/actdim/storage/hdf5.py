"""The HDF5 files that programs hand on to each other: written with checksums of all they hold, checked when read."""

import contextlib
import errno
import json
import math
import os
import shutil

import h5py
import numpy as np

from actdim.errors import UserError
from actdim.storage.atomic import ANOTHER_VERSION, REMAKE
from actdim.storage.checksums import checksum_of
from actdim.storage.disk_space import SMALL, Shortage, reserve

FORMAT = 2  # of our files, their attribute `format`; files from elsewhere have none, or one that is no integer
LIBRARY_VERSIONS = ("v110", "v110")  # of the format of HDF5: the first with checksums of its own structures
IN_MEMORY = "core"  # the driver of a file that is never on disk
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # of a file system without flock
# What the operating system says where it cannot read a file now, whatever the file's content: it is in use, its disk
# cannot be reached, memory or open files are used up.
UNREADABLE_NOW = (
    errno.EAGAIN,
    errno.EBUSY,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENODEV,
    errno.ENOMEM,
    errno.ENOTCONN,
    errno.ENXIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
)


def write_attributes(item, attributes):
    """Write attributes, {name: value}, to a file, group or data set: dicts as JSON, None not at all.

    Strings have fixed length: variable-length ones live in HDF5's global heap, which has no checksum, and one corrupt
    byte there can hang the library.
    """
    for key, value in attributes.items():
        if value is None:
            continue
        if isinstance(value, dict):
            value = json.dumps(value)
        if isinstance(value, str):
            value = np.array(value.encode(), dtype=h5py.string_dtype("utf-8", max(1, len(value.encode()))))
        item.attrs[key] = value


def write_checksum(item, *content):
    """Write the checksum of the attributes of a file, group or data set, and of further content, as an attribute."""
    write_attributes(item, {"checksum": checksum_of(read_attributes(item), *content)})


def read_checked_attributes(item, *content):
    """Return the attributes of what `write_checksum` wrote a checksum to; raise ValueError where it does not match."""
    attributes = read_attributes(item)
    if plain_value(item.attrs["checksum"]) != checksum_of(attributes, *content):
        raise ValueError(f"checksum mismatch of {item.name}")
    return attributes


def read_attributes(item):
    """Return the attributes of a file, group or data set, except its checksum, as plain Python values."""
    return {key: plain_value(value) for key, value in item.attrs.items() if key != "checksum"}


def read_foreign_attributes(item):
    """Return the attributes of a file or data set from elsewhere, as far as they are numbers, strings or JSON."""
    attributes = {}
    for key, value in item.attrs.items():
        if isinstance(value, str | bytes | np.number | np.bool_):
            with contextlib.suppress(ValueError):  # not JSON, not UTF-8
                attributes[key] = plain_value(value)
    return attributes


def find_item(file, name):
    """Return a group or data set of a file; None where there is none.

    h5py's `get` would also return None for a corrupt one; this raises KeyError.
    """
    if name not in file:
        return None
    return file[name]


def plain_value(value):
    """Return an HDF5 attribute as a plain Python value: JSON is parsed, NaN and infinity (a diverged run) are None."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist() if np.isfinite(value).all() else None
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


@contextlib.contextmanager
def create_file(path, size=0):
    """Create an HDF5 file for about `size` bytes of data; yield it, open to write.

    Raises Shortage at once where the disk has too little space. HDF5 itself fails badly there: closing the file fails
    like the write did, each object reports its own error, and finally the process crashes.
    """
    if shutil.disk_usage(path.parent).free < SMALL:
        raise Shortage(errno.ENOSPC, size + SMALL)
    with h5py.File(path, "w", libver=LIBRARY_VERSIONS, locking=False) as file:  # atomic_write locked it
        reserve_space(file, size)
        yield file
    os.truncate(path, path.stat().st_size)  # returns what was reserved and not used


def reserve_space(file, size):
    """Reserve disk space for a file open to write: `size` bytes of data, and what HDF5 adds to them."""
    if file.driver != IN_MEMORY:
        reserve(file.id.get_vfd_handle(), size + SMALL)


def flush_data(file):
    """Wait until the values written so far to an open file are on disk."""
    if file.driver != IN_MEMORY:
        os.fsync(file.id.get_vfd_handle())


@contextlib.contextmanager
def open_file(path):
    """Open an HDF5 file to read; yield (file, is_ours), where a file from elsewhere is not ours.

    Raises UserError where it is missing, corrupt or of another format.
    """
    with user_errors(path):
        try:
            file = open_to_read(path)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        number = file.attrs.get("format")
        is_ours = isinstance(number, np.integer)
    with file:
        if is_ours and number != FORMAT:
            raise UserError(f"{path}: format {number}, not {FORMAT}: {ANOTHER_VERSION}")
        yield file, is_ours


def open_to_read(path):
    """Open an HDF5 file with a lock, or without where its file system has no locks: then nobody can hold one."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return h5py.File(path, "r", locking=False)


def create_external(file, name, shape, dtype, path, offset):
    """Create a data set whose values lie in another file, from an offset on; return it."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return file.create_dataset(name, shape, dtype, external=[(os.path.abspath(path), offset, size)])


@contextlib.contextmanager
def user_errors(path, is_ours=None):
    """Turn any error of reading an HDF5 file into a UserError; see `reading_error`."""
    try:
        yield
    except (UserError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # which one depends on the bytes that are corrupt
        raise reading_error(path, error, is_ours) from None


def reading_error(place, error, is_ours=None):
    """Return the UserError for an error of reading an HDF5 file or a data set in it.

    place: the file, or the file and the data set; is_ours: None where the file cannot be opened. Deleting a file is
    advised only where its content is wrong and snakemake can make it again.
    """
    reason, number = " ".join(str(error).split()), getattr(error, "errno", None)
    if number in NO_LOCKS:  # HDF5_USE_FILE_LOCKING asks for a lock whatever open_to_read says
        remedy = "unset HDF5_USE_FILE_LOCKING, or set it to FALSE"
        return UserError(f"{place}: its file system has no locks ({reason}); {remedy}")
    if isinstance(error, MemoryError) or number in UNREADABLE_NOW:
        return UserError(f"{place}: cannot be read now ({reason}); try again")
    if is_ours is None:
        return UserError(f"{place}: not a complete HDF5 file ({reason}); if actdim made it, {REMAKE}")
    return UserError(f"{place}: corrupt ({reason}); {REMAKE}" if is_ours else f"{place}: cannot be read ({reason})")
