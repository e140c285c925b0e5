"""Programs: one line without a traceback for mistakes and disk faults; command-line arguments that programs share."""

import contextlib
import errno
import json
import os
import re
import sys
from pathlib import Path

from actdim.errors import NoSpace, UserError

TELL = "exec 8>&2; export ACTDIM_STDERR=8; "  # for `say`; every job's shell runs this first


def run(main):
    """Run `main()` as a program: a user's mistake or a disk fault becomes one line and exit status 1.

    So do some mistakes that only numpy and torch can tell; see MISTAKES.
    """
    try:
        main()
        sys.stdout.flush()  # raises if it goes to a log on a full disk
    except NoSpace as error:
        say(error)
        os._exit(1)  # the usual exit would crash in HDF5, which could not close its file
    except UserError as error:
        say(error)
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.ENOSPC and not error.filename:
            say(f"{log()}: no space left on the disk of this log")
            os._exit(1)  # the usual exit would flush again
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror or error}")
        sys.exit(1)
    except (MemoryError, RuntimeError, ValueError) as error:
        matches = ((re.match(pattern, str(error)), line) for pattern, line in MISTAKES.items())
        mistake = next((line.format(*match.groups()) for match, line in matches if match), None)
        if not mistake:
            raise
        say(mistake)
        sys.exit(1)


MISTAKES = {  # {message of numpy or torch: what the user is told}
    "(.*) does not have a deterministic implementation": (
        "the model's {} has no deterministic implementation on this device; replace it in the model"
    ),
    "(.*(?:out of memory|can't allocate memory|Unable to allocate).*)": (
        "not enough memory; run fewer jobs at once, or one with smaller batches or fewer samples ({})"
    ),
    "Expected more than 1 value per channel": "training.batch_size: batch norm needs batches of at least two samples",
}


def log():
    """Return the file of standard output, if the system tells."""
    try:
        return os.readlink("/proc/self/fd/1")
    except OSError:
        return "the log"


def say(what):
    """Write a line to standard error; if that is a log on a full disk, to Snakemake's standard error.

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


def add_expect(parser):
    """Add the option `--expect DIGEST` to a parser."""
    parser.add_argument("--expect", metavar="DIGEST", help="of the files that the run's settings name, as planned")


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
