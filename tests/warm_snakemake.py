"""Snakemake in a process whose libraries are imported already, so that a dry run takes a third of the time.

Python's forkserver imports the libraries once. Each Snakemake is a fork of it and reads the project's own code afresh.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ["h5py", "pandas", "pydantic", "snakemake.cli", "snakemake_executor_plugin_slurm", "torch"]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(LIBRARIES)


def run(folder, environment, *arguments):
    """Run `snakemake` with these arguments in a folder; return the finished process with its output as text."""
    with tempfile.TemporaryDirectory() as outputs:
        texts = [Path(outputs, name) for name in ("stdout", "stderr")]
        process = PROCESSES.Process(target=main, args=(folder, environment, arguments, texts))
        process.start()
        process.join()
        stdout, stderr = (text.read_text() for text in texts)
    return subprocess.CompletedProcess(["snakemake", *arguments], process.exitcode, stdout, stderr)


def main(folder, environment, arguments, texts):
    """Become the Snakemake: what `snakemake` does once Python has started."""
    for descriptor, text in enumerate(texts, start=1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    # pytest's paths, to this clone's own modules; those of the project are its copies
    sys.path[:] = [path for path in sys.path if not is_of_this_clone(Path(path))]
    from snakemake import cli

    cli.main()


def is_of_this_clone(path):
    """Tell whether a path is one of the clone's folders, outside a virtual environment in it."""
    return path.is_relative_to(ROOT) and not path.is_relative_to(sys.prefix)
