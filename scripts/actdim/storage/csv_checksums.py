"""The checksum beside a table, in the form of sha256sum."""

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE, atomic_write
from actdim.storage.checksums import sha256_line


def seal_table(written, path):
    """Write the checksum of a table that will lie at `path` to a file beside it, as sha256sum would."""
    with atomic_write(beside_table(path)) as beside:
        beside.write_text(sha256_line(written.read_bytes(), path.name))


def read_sealed_table(path, remedy=REMAKE):
    """Return the bytes of a table; UserError where it is missing or damaged.

    A table with no checksum beside it is the user's own.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    sealed = beside_table(path)
    if sealed.exists() and sealed.read_bytes() != sha256_line(content, path.name).encode():
        raise UserError(
            f"{path}: damaged, for {sealed.name} says otherwise; {remedy}, or if you changed the table, delete {sealed}"
        )
    return content


def beside_table(path):
    """Return the path of the checksum of a table."""
    return path.with_name(f"{path.name}.sha256")
