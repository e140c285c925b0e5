"""CSV files, written with a checksum and read with a check."""

import io
from pathlib import Path

import pandas as pd

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE, atomic_write
from actdim.storage.csv_checksums import checksum_path, read_verified_table, write_table_checksum

PLACES = {
    *("study", "layer", "estimator", "split", "sweep", "measure", "target"),
    *("axis", "environment", "other", "statistic"),
}  # columns of text that say what a row is of
TEXTS = {*PLACES, "reason", "sign_error_worst"}
FILLED = {*PLACES, "checkpoint", "depth"}


def write_csv(table, path):
    """Write a table atomically, and a file with its checksum next to it."""
    text = table.to_csv(index=False)
    with atomic_write(path, len(text)) as temporary:
        temporary.write_text(text)
        write_table_checksum(temporary, path)


def read_csv(path, *columns, remedy=REMAKE, key=(), may_be_empty=False):
    """Read a table that has `columns`: numbers but those in TEXTS, and no empty cell in those of FILLED.

    key: columns whose values no two rows share. Raises UserError that names a missing, empty or corrupt table, or the
    line of a wrong cell. What to do about a corrupt one, `remedy`, is said of tables with a checksum only; others are
    the user's own.
    """
    content = read_verified_table(Path(path), remedy)
    remedy = f"; {remedy}" if checksum_path(Path(path)).exists() else ""
    try:
        table = pd.read_csv(io.BytesIO(content))
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        raise UserError(f"{path}: not a whole table{remedy}") from None
    require_columns(path, table, columns, remedy)
    if table.empty and not may_be_empty:
        raise UserError(f"{path}: has no rows{remedy}")
    for column in columns:
        check_cells(path, table[column])
    repeated = table.duplicated([*key]) if key else pd.Series(dtype=bool)
    if repeated.any():
        raise UserError(f"{path}: line {line_of(repeated)}: another line has the same {', '.join(key)}")
    return table


def require_columns(path, table, columns, remedy=""):
    """Raise UserError where the table at a path lacks one of some columns."""
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"{path}: has no column {', '.join(missing)}{remedy}")


def check_cells(path, column):
    """Raise UserError where a column of the table at a path has a text in place of a number, or an empty cell."""
    texts = column.notna() & pd.to_numeric(column, errors="coerce").isna()
    if column.name not in TEXTS and texts.any():
        raise UserError(
            f"{path}: line {line_of(texts)}: {column.name} is {column[texts].iloc[0]!r}; should be a number"
        )
    if column.name in FILLED and column.isna().any():
        raise UserError(f"{path}: line {line_of(column.isna())}: {column.name} is empty")


def line_of(chosen):
    """Return the line of the first of the chosen rows in a file whose line 1 is the header."""
    return 2 + int(chosen.to_numpy().argmax())
