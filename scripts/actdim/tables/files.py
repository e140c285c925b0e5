"""CSV files, written with a checksum and read with a check."""

import io
from pathlib import Path

import pandas as pd

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE, atomic_write
from actdim.storage.csv_checksums import read_verified_table, write_table_checksum


def write_csv(table, path):
    """Write a table whole or not at all, and its checksum beside it."""
    text = table.to_csv(index=False)
    with atomic_write(path, len(text)) as beside:
        beside.write_text(text)
        write_table_checksum(beside, path)


def read_csv(path, *columns, remedy=REMAKE):
    """Read a table that has `columns`; a missing, empty or damaged one is a UserError that names it."""
    content = read_verified_table(Path(path), remedy)
    try:
        table = pd.read_csv(io.BytesIO(content))
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        raise UserError(f"{path}: not a whole table; {remedy}") from None
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"{path}: has no column {', '.join(missing)}; {remedy}")
    return table
