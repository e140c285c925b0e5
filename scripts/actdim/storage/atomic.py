"""Files and folders that appear complete or not at all."""

import contextlib
import os
from pathlib import Path

from actdim.storage.disk_space import raise_if_disk_full
from actdim.storage.file_locks import exclusive_lock

REMAKE = "delete it and run snakemake again"  # what to do about a corrupt file that a job makes
ANOTHER_VERSION = "another version of actdim wrote it; use that one, or move the file away and run snakemake again"


@contextlib.contextmanager
def atomic_write(path, size=None):
    """Yield a temporary path next to `path` to write to; on success it becomes `path`, on failure it is removed.

    The bytes are on disk before the file has its name, so a crash leaves the old file or none. While another process
    writes the same file, this one waits.
    size: the bytes that it needs, where they are known, for the message of a full disk. Raises NoSpace there.
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        with exclusive_lock(temporary, f"write {path}"), contextlib.ExitStack() as failure:
            failure.callback(temporary.unlink, missing_ok=True)
            try:
                yield temporary
                sync_to_disk(temporary)
                temporary.replace(path)
            except Exception as error:
                raise_if_disk_full(path, temporary, error, size)
                raise
            failure.pop_all()
    except OSError as error:  # of the lock
        raise_if_disk_full(path, temporary, error, size)
        raise


def temporary_path(path):
    """Return where a file or folder is written before it gets its name."""
    return path.with_name(f".{path.name}.part")


def sync_to_disk(path):
    """Wait until the content of the file or folder `path` is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
