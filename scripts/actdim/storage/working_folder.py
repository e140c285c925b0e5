"""The folder in which a training works, and from which its output is made.

    to~100.training/    lock  run.json  00010.pt  00100.pt  metrics.csv  (state.pt until all are there)
    to~100/                   run.json  00010.pt  00100.pt  metrics.csv  hard links to these files

Snakemake knows the output alone. It deletes that when a job fails, or when a Snakemake that was killed did not see the
job's end. The files stay in the working folder, and the output is made again of links, without training.
"""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from actdim.storage.atomic import sync_to_disk, temporary_path
from actdim.storage.disk_space import raise_if_disk_full
from actdim.storage.file_locks import exclusive_lock, owner_file

LOCK = "lock"
NO_HARD_LINKS = (errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV)


def working_folder(output):
    """Return the working folder of a training's output."""
    return Path(f"{output}.training")


def repair_advice(output):
    """Return what to do about a corrupt file in a training's output."""
    if not (output / "run.json").exists() and not working_folder(output).is_dir():  # not an output of train.py
        return "if snakemake made it, move it away and run snakemake again"
    remedy = f"delete the folder {output} and run snakemake again"
    if working_folder(output).is_dir():
        return f"{remedy}; what is intact comes back from {working_folder(output)} without training"
    return f"{remedy}, which repeats that training"


@contextlib.contextmanager
def locked_working_folder(output):
    """Make a training's working folder and keep other trainings out of it, waiting for one in it to end; yield it."""
    folder = working_folder(output)
    purpose = f"train in {folder}"
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder / LOCK, purpose, lambda: owner_file(folder / f"{LOCK}.owner", purpose)):
        yield folder


def empty(folder):
    """Remove all files of a working folder but its lock."""
    for file in folder.iterdir():
        if not file.name.startswith(LOCK):
            file.unlink()


def publish(folder, names, output):
    """Make the folder `output` of hard links to files of a working folder; it appears complete, in place of any before.

    Files are copied where the file system has no hard links. Raises NoSpace if the disk is full.
    """
    if all((output / name).exists() and (output / name).samefile(folder / name) for name in names):
        return
    temporary = temporary_path(output)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        sync_to_disk(folder)
        temporary.mkdir()
        for name in names:
            link_or_copy(folder / name, temporary / name)
        sync_to_disk(temporary)
        if output.exists():
            shutil.rmtree(output)
        temporary.replace(output)
        sync_to_disk(output.parent)
    except OSError as error:
        raise_if_disk_full(output, temporary, error, None)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def link_or_copy(source, target):
    """Make `target` a hard link to the file `source`, or a copy where there can be no link."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        print(f"{target.name}: copied, because there are no hard links here ({error.strerror})", flush=True)
        shutil.copy2(source, target)
        sync_to_disk(target)
