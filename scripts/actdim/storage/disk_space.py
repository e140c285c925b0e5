"""What to say where a disk is full."""

import ctypes
import errno
import os

from actdim.errors import NoSpace

SMALL = 1 << 16  # bytes; with less than that a failed write has filled the disk, whatever a library says of it


KEEP_SIZE = 1  # of Linux's falloc.h


class Shortage(OSError):
    """A disk has no room for a number of bytes."""

    def __init__(self, code, size):
        super().__init__(code, os.strerror(code))
        self.size = size


def explain(path, beside, error, size):
    """Raise NoSpace where `error`, of writing `path` by way of the file `beside`, came of a full disk.

    beside: a file, or a folder of files; size: the bytes that it needs, None where nobody knows. Libraries wrap the
    reason: HDF5 and torch raise a RuntimeError.
    """
    disk = os.statvfs(path.parent)
    found = [file.stat() for file in (beside, *beside.rglob("*")) if file.is_file()]
    written, taken = sum(file.st_size for file in found), 512 * sum(file.st_blocks for file in found)
    free = disk.f_bavail * disk.f_frsize
    codes = {getattr(one, "errno", None) for one in chain(error)}
    size = next((one.size for one in chain(error) if isinstance(one, Shortage)), size)
    if errno.EDQUOT in codes:
        raise NoSpace(f"{path}: the quota of its disk is used up; it needs {needed(size, written)}") from None
    if errno.ENOSPC not in codes and not (free < SMALL and isinstance(error, RuntimeError)):
        return
    if disk.f_files and not disk.f_favail:
        raise NoSpace(f"{path}: its disk has no room for another file: all {disk.f_files:,} inodes are taken") from None
    raise NoSpace(
        f"{path}: no space left on its disk; it needs {needed(size, written)}, and {free + taken:,} are free"
    ) from None


def chain(error):
    """Yield an error and those in whose handling it was raised."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def needed(size, written):
    """Return the bytes of a file in words: all that it needs, or what it had got when the disk was full."""
    return f"{size:,} bytes" if size is not None else f"more than {written:,} bytes"


def reserve(descriptor, size):
    """Reserve `size` bytes of the disk for an open file; its own size stays. Nothing where the system cannot.

    Raises Shortage where the disk has no room for them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "fallocate") and libc.fallocate(descriptor, KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size)):
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise Shortage(code, size)
