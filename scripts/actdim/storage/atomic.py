"""Files that appear complete or not at all."""

import contextlib
import fcntl
import os
from pathlib import Path

from actdim.errors import UserError
from actdim.storage.disk_space import explain

AGAIN = "delete it and run snakemake again"


TRAIN_AGAIN = "delete its folder and run snakemake again, which trains that stage anew"


@contextlib.contextmanager
def atomic_write(path, size=None):
    """Yield a path beside `path` to write to; on success it becomes `path`, on failure it is removed.

    The bytes are on disk before the name appears, so a crash leaves the old file or none.
    size: the bytes that it needs, where they are known, to say so. Raises NoSpace where the disk is full, UserError
    where another process is writing the same file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with contextlib.ExitStack() as undo:
        try:
            with open(beside, "ab") as file:
                take(file, path)
                undo.callback(beside.unlink, missing_ok=True)
                yield beside
                flush(beside)
                beside.replace(path)
                undo.pop_all()
        except Exception as error:
            explain(path, beside, error, size)
            raise


def take(file, path):
    """Lock an open file, for this process alone to write what is to lie at `path`."""
    with contextlib.suppress(OSError):  # of a file system without locks
        if not try_lock(file):
            raise UserError(f"{path}: another process is writing it; wait for that one or stop it")


def try_lock(lock):
    """Take an open file's lock for this process alone; False where another one holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def flush(path):
    """Wait until the content of the file or folder `path` is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
