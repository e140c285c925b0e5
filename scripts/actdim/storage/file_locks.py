"""Locks between processes that write the same files, on one machine or on a shared file system.

A lock is an flock on a file, so it ends with the process that holds it, however that process ends. Where the file
system has no flock, a second file, created with O_EXCL, names the process that holds the lock.
"""

import contextlib
import fcntl
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path

from actdim.errors import UserError

POLL = 0.5  # seconds between looks at an owner file
PATIENCE = 10  # seconds in which a process that creates an owner file has written its name into it


@contextlib.contextmanager
def exclusive_lock(path, purpose, without_flock=contextlib.nullcontext):
    """Hold the lock of the file `path`, which is created; yield the open file.

    While another process holds it, this one waits, and prints a line that says so. The file may be renamed or removed
    by its holder: the next one locks the file that has its name then.
    purpose: what the lock is for, as that line says it: "write results/x.h5".
    without_flock: a context manager that takes the place of the lock on a file system that has no flock.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "ab") as file, contextlib.ExitStack() as instead:
            try:
                wait_for_flock(file, purpose)
            except OSError:
                instead.enter_context(without_flock())
            if is_named(file, path):
                yield file
                return


def wait_for_flock(file, purpose):
    """Take the flock of an open file; OSError where the file system has none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell_waiting(purpose, "another process")
        fcntl.flock(file, fcntl.LOCK_EX)


def tell_waiting(purpose, holder):
    """Print that this process waits."""
    print(f"waiting to {purpose}: {holder} is doing so now", flush=True)


def is_named(file, path):
    """Tell whether the open file is the one that has the name `path` now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def owner_file(path, purpose):
    """Hold the file `path`, which names the process that holds a lock; wait while that is another one.

    The file of a process of this machine that has ended is replaced. Raises UserError where it names a process of
    another machine, because nobody can tell from here whether that one still runs.
    """
    print(f"{path.parent}: this file system has no flock; {path.name} is the lock", flush=True)
    create_owner_file(path, purpose)
    former = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the file is removed
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, former)


def create_owner_file(path, purpose):
    """Create the owner file `path` for this process, once no other process holds the lock."""
    this, told, since = {"host": platform.node(), "pid": os.getpid()}, False, time.monotonic()
    while True:
        with contextlib.suppress(FileExistsError), open(path, "x") as file:
            json.dump(this, file)
        owner = read_owner(path)
        if owner == this:
            time.sleep(POLL)  # another process may have found the same old file, and remove this one for that
            if read_owner(path) == this:
                return
        elif owner and owner["host"] == this["host"] and not is_running(owner["pid"]):
            path.unlink(missing_ok=True)
        elif owner and owner["host"] == this["host"]:
            if not told:
                tell_waiting(purpose, f"process {owner['pid']}")
            told = True
            time.sleep(POLL)
        elif owner or time.monotonic() - since > PATIENCE:
            holder = "process {pid} on {host}".format(**owner) if owner else "a process"
            raise UserError(f"{path}: {holder} holds this lock; if that process has ended, delete this file")


def read_owner(path):
    """Return the host and the pid that an owner file states; None where it is gone or not complete."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def is_running(pid):
    """Tell whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True
