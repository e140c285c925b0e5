"""Whether a Snakemake, or a job of one, is alive in the working directory: told by locks that end with their process.

Snakemake's own lock, the files in .snakemake/locks, outlives a Snakemake that is killed, and refuses the next one.
"""

import base64
import contextlib
import fcntl
import platform
import shutil
import sys
from pathlib import Path

from actdim.errors import UserError
from actdim.storage.atomic import try_lock
from actdim.training.loop import resume_of

SNAKEMAKE, JOBS = Path(".snakemake/actdim.snakemake.lock"), Path(".snakemake/actdim.jobs.lock")


# What every job's shell runs first: its processes hold the second lock for as long as any of them lives.
HOLD = f"command -v flock > /dev/null && exec 9<>{JOBS} && flock --shared 9 || true; "


BOOT = Path("/proc/sys/kernel/random/boot_id")


ELSEWHERE = ["jobs on other machines"]


held = []  # open for as long as this process lives


def begin():
    """Hold the lock of a living Snakemake, and put in order what one that was killed on this machine has left.

    Where another Snakemake lives, its lock stays, for Snakemake itself to refuse this one; so do locks left by one on
    another machine, or by one whose jobs ran on others. Raises UserError where jobs of a killed one still run, for
    they would be run twice at once, and where nothing can be written.
    """
    try:
        SNAKEMAKE.parent.mkdir(exist_ok=True)
        held.append(open(SNAKEMAKE, "a+"))  # noqa: SIM115
        hold(held[-1])
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; Snakemake keeps its records there") from None


def hold(lock):
    """Share a lock with all that live, after putting in order what is left where none does."""
    try:
        alone = try_lock(lock)
    except OSError:
        return  # a file system without locks
    try:
        if alone and shutil.which("flock"):  # without that program living jobs hold nothing
            require_no_jobs()
            put_in_order(lock)
    finally:
        fcntl.flock(lock, fcntl.LOCK_SH)


def require_no_jobs():
    """Raise UserError where a job lives, though its Snakemake does not."""
    with open(JOBS, "a") as jobs:
        alone = try_lock(jobs)
    if not alone:
        raise UserError(
            f"jobs of a Snakemake that was killed still run here ({', '.join(holders(JOBS))});"
            " wait for them or stop them"
        )


def put_in_order(lock):
    """Remove the locks of a killed Snakemake, where the lock file says that it ran here; sign that file as this one's.

    Where it ran elsewhere all stays as it is, until the user removes its locks by snakemake --unlock.
    """
    here = [platform.node(), BOOT.read_text().strip() if BOOT.exists() else ""]
    lock.seek(0)
    signed = lock.read().splitlines()
    left = list(SNAKEMAKE.parent.glob("locks/*.lock"))
    if left and not any(one and one == other for one, other in zip(here, signed, strict=False)):
        return
    for file in left:
        file.unlink()
    for folder in SNAKEMAKE.parent.glob("shell_tmp.*"):
        shutil.rmtree(folder, ignore_errors=True)  # another user's, maybe
    keep_trainings()
    if left:
        print("Removed the lock of a Snakemake that was killed.", file=sys.stderr)
    if signed != here:
        sign(lock, here)


def keep_trainings():
    """Make resume states of trainings that ended when no Snakemake was there to see it, for it would delete them."""
    for output in begun():
        if (output / "metrics.csv").exists() and not resume_of(output).exists():
            output.rename(resume_of(output))


def begun():
    """Yield the outputs that Snakemake has marked as begun and not ended; a mark's name is the path in base64."""
    folder = SNAKEMAKE.parent / "incomplete"
    for mark in folder.rglob("*"):
        name = "".join(part.removeprefix("@") for part in mark.relative_to(folder).parts)
        with contextlib.suppress(ValueError):  # a file of another kind, or the folder of the first part
            yield Path(base64.urlsafe_b64decode(name).decode())


def sign(lock, lines):
    """Write to the lock file where the jobs of its holder run."""
    lock.truncate(0)
    lock.write("\n".join(lines) + "\n")
    lock.flush()


def holders(path):
    """Return the processes of this machine that have a file open, as "process 123: train.py"; the shells left out."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.name() != "bash" and any(file.path == str(path.resolve()) for file in process.open_files()):
                program = next((part for part in process.cmdline() if part.endswith(".py")), process.name())
                found.append(f"process {process.pid}: {Path(program).name}")
        except psutil.Error:
            continue  # ended meanwhile, or another user's
    return found or ["perhaps on another machine"]
