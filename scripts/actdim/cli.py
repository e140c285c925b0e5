"""How a user's mistake, or a disk's, reaches the user: as one line, without a traceback.

Command-line arguments that several programs share."""

import contextlib
import errno
import json
import os
import re
import sys
from pathlib import Path

from actdim.errors import NoSpace, UserError

TELL = "exec 8>&2; export ACTDIM_STDERR=8; "  # what every job's shell runs first, for `say` to use


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


def add_set(parser, what):
    """Add the repeatable option `--set KEY=VALUE` to a parser."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"{what}; may be repeated")


def read_set(pairs):
    """Return {key: value} of `KEY=VALUE` texts; a value is a number, true, false, null or else a text."""
    settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise UserError(f"--set {pair}: should be KEY=VALUE")
        try:
            settings[key] = json.loads(text)
        except ValueError:
            settings[key] = text
    return settings
