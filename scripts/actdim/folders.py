"""Where the user's own files lie: in the working directory or, if they are not there, in the workflow's folder.

The two differ under `snakemake --directory` or `--snakefile`, and where another workflow uses this one as a module.
"""

from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
WORKFLOW = SCRIPTS.parent  # the folder of the Snakefile


def own_folders():
    """Return the folders that may hold the user's own files; the first that has a file counts."""
    return list(dict.fromkeys([Path.cwd(), WORKFLOW]))


def find_file(path):
    """Return the path of a user's file: as it is given, or in the workflow's folder where only that has it."""
    return Path(path) if Path(path).exists() or not (WORKFLOW / path).exists() else WORKFLOW / path
