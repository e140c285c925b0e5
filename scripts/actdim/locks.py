"""Whether a Snakemake, or a job of one, is alive in the working directory: told by locks that end with their process.

Snakemake's own lock, the files in .snakemake/locks, outlives a Snakemake that is killed, and refuses the next one.
"""

import contextlib
import fcntl
import platform
import shutil
import sys
from pathlib import Path

from actdim.errors import UserError

SNAKEMAKE, JOBS = Path(".snakemake/actdim.snakemake.lock"), Path(".snakemake/actdim.jobs.lock")
# What every job's shell runs first: its processes hold the second lock for as long as any of them lives,
HOLD = f"command -v flock > /dev/null && exec 9<>{JOBS} && flock --shared 9 || true; "
TELL = "exec 8>&2; export ACTDIM_STDERR=8; "  # and can tell what no log has room for; see errors.say
BOOT = Path("/proc/sys/kernel/random/boot_id")
held = []  # open for as long as this process lives


def begin():
    """Hold the lock of a living Snakemake, and remove what one that was killed on this machine has left.

    Where another Snakemake lives, its lock stays, for Snakemake itself to refuse this one; so do locks left by one on
    another machine, or by one whose jobs on a cluster may live. Raises UserError where jobs of a killed one still run,
    for they would be run twice at once, and where nothing can be written.
    """
    try:
        SNAKEMAKE.parent.mkdir(exist_ok=True)
        lock = open(SNAKEMAKE, "a+")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}; Snakemake keeps its records there") from None
    held.append(lock)
    with contextlib.suppress(OSError):  # of a file system without locks
        if is_free(lock):
            with open(JOBS, "a") as jobs:
                alone = is_free(jobs)
            if not alone:
                raise UserError(
                    f"jobs of a Snakemake that was killed still run here ({', '.join(holders(JOBS))});"
                    " wait for them or stop them"
                )
            remove_left(lock)
        fcntl.flock(lock, fcntl.LOCK_SH)


def is_free(lock):
    """Take an open file's lock for this process alone; False where another one holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_left(lock):
    """Remove what a killed Snakemake has left, where the lock file says that it ran on this machine; sign that file."""
    machine = [platform.node(), BOOT.read_text().strip() if BOOT.exists() else ""]
    lock.seek(0)
    signed = lock.read().splitlines()
    left = list(SNAKEMAKE.parent.glob("locks/*.lock"))
    ours = any(one and one == other for one, other in zip(machine, signed, strict=False))
    if left and (submitted() or not ours):
        return
    for file in left:
        file.unlink()
    for folder in SNAKEMAKE.parent.glob("shell_tmp.*"):
        shutil.rmtree(folder)
    if left:
        print("Removed the lock of a Snakemake that was killed.", file=sys.stderr)
    if signed != machine:
        lock.truncate(0)
        lock.write("\n".join(machine) + "\n")
        lock.flush()


def submitted():
    """Whether Snakemake's marks of jobs begun and not ended tell of any that was submitted to a cluster."""
    marks = (file for file in SNAKEMAKE.parent.glob("incomplete/**/*") if file.is_file())
    return any('"external_jobid": "' in mark.read_text() for mark in marks)


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
