"""What the Snakefile does when a run starts and ends, and what it then tells the user."""

import re
import signal
import time
from pathlib import Path
from threading import Thread

from actdim.errors import UserError

STARTED = time.time()
FAILURE = re.compile(r"(\w+\.py|[\w.]*(Error|Exception)): ")  # of our programs (see cli.say), and of Python


def exit_on_sigterm(scheduler):
    """End Snakemake's jobs and Snakemake on SIGTERM.

    Its own handler acquires a lock that the interrupted thread may hold already, and then waits forever.
    """
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=scheduler.exit_gracefully).start())


def show_time_left(log_handlers):
    """Have the progress bars of snakemake-logger-plugin-rich show the time left, not the time that has passed."""
    for handler in log_handlers:
        if hasattr(handler, "progress"):
            from rich.progress import TimeRemainingColumn

            time_left = TimeRemainingColumn(elapsed_when_finished=True)
            handler.progress.columns = (*handler.progress.columns[:-1], time_left)
            handler.progress.speed_estimate_period = 3600  # seconds to look back; more than the longest jobs take


def remarks(folder):
    """Return what the tables in a folder leave out or lack, as lines."""
    # imported here because importing pandas takes a second
    from actdim.tables.missing import describe_copies, describe_missing

    try:
        return [*describe_copies(folder), *describe_missing(folder)]
    except UserError as mistake:  # a table that the user has changed
        return [str(mistake)]


def failures(jobs):
    """Return a line for each failed job: the last one of its log, which says what went wrong, and where the log is.

    jobs: the failed jobs and groups of jobs. Of a group, those that did not fail have no such line, and those that did
    not start an older log.
    """
    single_jobs = [job for either in jobs for job in (either if either.is_group() else [either])]
    logs = sorted({Path(log) for job in single_jobs for log in job.log})
    lines = [(log, last_line(log)) for log in logs if log.exists() and log.stat().st_mtime >= STARTED]
    return [f"{line} ({log})" for log, line in lines if FAILURE.match(line)]


def last_line(log):
    """Return the last line of a text file; an empty text for an empty file."""
    return "".join(log.read_text(errors="replace").rstrip().splitlines()[-1:])
