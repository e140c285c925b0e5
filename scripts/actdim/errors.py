"""How a user's mistake, or a disk's, reaches the user: as one line, without a traceback."""

import contextlib
import errno
import os
import re
import sys
from pathlib import Path

TELL = "exec 8>&2; export ACTDIM_STDERR=8; "  # what every job's shell runs first, for `say` to use


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, where, and what would be right."""


class NoSpace(UserError):
    """A disk is full; the text names the file that could not be written, and how much it needed."""


def run(main):
    """Run `main()` as a program: a mistake of the user, or a fault of a disk, becomes one line and exit status 1.

    So do some mistakes that only numpy and torch can tell; see MISTAKES.
    """
    try:
        main()
        sys.stdout.flush()  # to a log, whose disk may be full
    except NoSpace as error:
        say(error)
        os._exit(1)  # at the usual exit HDF5 crashes on a file that it could not close
    except UserError as error:
        say(error)
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC and not error.filename:
            say(f"{log()}: no space left on its disk for what this program has to say")
            os._exit(1)  # the usual exit would try to say it again
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror or error}")
        sys.exit(1)
    except (MemoryError, RuntimeError, ValueError) as error:
        found = ((re.match(pattern, str(error)), line) for pattern, line in MISTAKES.items())
        mistake = next((line.format(*match.groups()) for match, line in found if match), None)
        if not mistake:
            raise
        say(mistake)
        sys.exit(1)


MISTAKES = {  # what numpy and torch say of them, and what a user should know
    "(.*) does not have a deterministic implementation": (
        "the model's {} has no deterministic implementation here; have it compute that otherwise"
    ),
    "(.*(?:out of memory|can't allocate memory|Unable to allocate).*)": (
        "not enough memory; run fewer jobs at once, or one with less at once ({})"
    ),
    "Expected more than 1 value per channel": "training.batch_size: batch norm needs two samples or more at once",
}


def log():
    """Return the file that standard output goes to, as far as the system tells."""
    try:
        return os.readlink("/proc/self/fd/1")
    except OSError:
        return "the log"


def say(what):
    """Write a line to standard error; where that is a log on a full disk, to the standard error of Snakemake.

    The latter is the descriptor in the variable ACTDIM_STDERR; see TELL.
    """
    line = f"{Path(sys.argv[0]).name}: {what}\n"
    try:
        print(line, end="", file=sys.stderr, flush=True)
    except OSError:
        with contextlib.suppress(OSError):
            os.write(int(os.environ.get("ACTDIM_STDERR", 2)), line.encode())
