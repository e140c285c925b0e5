"""The message for a full disk, and room reserved beforehand."""

import ctypes
import errno
import os

from actdim.errors import NoSpace

SMALL = 1 << 16  # bytes; with less than that free, a failed write has filled the disk, whatever the library says


KEEP_SIZE = 1  # of Linux's falloc.h


class Shortage(OSError):
    """A disk has no room for a number of bytes."""

    def __init__(self, code, size):
        super().__init__(code, os.strerror(code))
        self.size = size


def raise_if_disk_full(path, temporary, error, size):
    """Raise NoSpace if a full disk caused `error`, which was raised while `path` was written.

    temporary: the file or folder that was written in place of `path`. size: the bytes that it needs; None if unknown.
    The cause can hide behind another error: HDF5 and torch raise a RuntimeError.
    """
    disk = os.statvfs(path.parent)
    files = [file.stat() for file in (temporary, *temporary.rglob("*")) if file.is_file()]
    written, allocated = sum(file.st_size for file in files), 512 * sum(file.st_blocks for file in files)
    free = disk.f_bavail * disk.f_frsize
    codes = {getattr(cause, "errno", None) for cause in causes(error)}
    size = next((cause.size for cause in causes(error) if isinstance(cause, Shortage)), size)
    if errno.EDQUOT in codes:
        raise NoSpace(f"{path}: the disk quota is used up; the file needs {needed(size, written)}") from None
    if errno.ENOSPC not in codes and not (free < SMALL and isinstance(error, RuntimeError)):
        return
    if disk.f_files and not disk.f_favail:
        raise NoSpace(f"{path}: its disk has no room for another file: all {disk.f_files:,} inodes are taken") from None
    raise NoSpace(
        f"{path}: no space left on its disk; it needs {needed(size, written)}, and {free + allocated:,} are free"
    ) from None


def causes(error):
    """Yield an error and those in whose handling it was raised."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def needed(size, written):
    """Return in words how many bytes a file needs: its size, or more than was written when the disk was full."""
    return f"{size:,} bytes" if size is not None else f"more than {written:,} bytes"


def reserve(descriptor, size):
    """Reserve `size` bytes of the disk for an open file, without changing its size; do nothing on other systems.

    Raises Shortage if the disk has no room for them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "fallocate") and libc.fallocate(descriptor, KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size)):
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.EDQUOT):
            raise Shortage(code, size)
