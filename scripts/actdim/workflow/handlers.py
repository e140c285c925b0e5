"""What the Snakefile does when a run starts and ends, and what it then tells the user."""

import signal
from pathlib import Path
from threading import Thread

from actdim.errors import UserError


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


def missing_values(folder):
    """Return what the tables in a folder say of their missing values, as lines."""
    from actdim.tables.missing import missing  # imported here because importing pandas takes a second

    try:
        return missing(folder)
    except UserError as mistake:  # a table that the user has changed
        return [str(mistake)]


def failures(jobs):
    """Return a line for each failed job: the last one of its log, which says what went wrong, and where the log is."""
    single_jobs = [job for either in jobs for job in (either if either.is_group() else [either])]
    logs = [Path(log) for job in single_jobs for log in job.log]
    last_lines = {log: log.read_text(errors="replace").strip().splitlines()[-1:] for log in logs if log.exists()}
    return [f"{line} ({log})" for log, lines in sorted(last_lines.items()) for line in lines]
