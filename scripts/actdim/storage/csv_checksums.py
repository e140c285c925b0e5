"""The checksum of a table, in a file next to it, in the format of sha256sum."""

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE, atomic_write
from actdim.storage.checksums import sha256_line


def write_table_checksum(written, path):
    """Write the checksum of a table that is at `written` now and will be at `path`."""
    with atomic_write(checksum_path(path)) as temporary:
        temporary.write_text(sha256_line(written.read_bytes(), path.name))


def read_verified_table(path, remedy=REMAKE):
    """Return the bytes of a table; UserError if it is missing or does not match its checksum.

    A table without a checksum is the user's own.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    checksum = checksum_path(path)
    if checksum.exists() and checksum.read_bytes() != sha256_line(content, path.name).encode():
        raise UserError(
            f"{path}: does not match {checksum.name}; if you changed the table, delete {checksum}, else {remedy}"
        )
    return content


def checksum_path(table):
    """Return the path of the checksum of a table."""
    return table.with_name(f"{table.name}.sha256")
