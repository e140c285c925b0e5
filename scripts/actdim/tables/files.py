"""CSV files, written with a checksum and read with a check."""

import io
from pathlib import Path

import pandas as pd

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE, atomic_write
from actdim.storage.csv_checksums import read_verified_table, write_table_checksum


def write_csv(table, path):
    """Write a table atomically, and a file with its checksum next to it."""
    text = table.to_csv(index=False)
    with atomic_write(path, len(text)) as temporary:
        temporary.write_text(text)
        write_table_checksum(temporary, path)


def read_csv(path, *columns, remedy=REMAKE):
    """Read a table that has `columns`; UserError that names a missing, empty or corrupt one."""
    content = read_verified_table(Path(path), remedy)
    try:
        table = pd.read_csv(io.BytesIO(content))
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        raise UserError(f"{path}: not a whole table; {remedy}") from None
    if missing := [column for column in columns if column not in table]:
        raise UserError(f"{path}: has no column {', '.join(missing)}; {remedy}")
    return table
