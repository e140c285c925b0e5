"""Files that appear whole or not at all; JSON and tables that tell whether they are what was written."""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from actdim.checksums import checksum_of, sha256_line
from actdim.errors import UserError
from actdim.space import explain

FORMAT = 2  # of JSON files
AGAIN = "delete it and run snakemake again"
TRAIN_AGAIN = "delete its folder and run snakemake again, which trains that stage anew"


@contextlib.contextmanager
def whole(path, size=None):
    """Yield a path beside `path` to write to; on success it becomes `path`, on failure it is removed.

    The bytes are on disk before the name appears, so a crash leaves the old file or none.
    size: the bytes that it needs, where they are known, to say so. Raises NoSpace where the disk is full, UserError
    where another process is writing the same file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with contextlib.ExitStack() as undo:
        try:
            with open(beside, "ab") as file:
                take(file, path)
                undo.callback(beside.unlink, missing_ok=True)
                yield beside
                flush(beside)
                beside.replace(path)
                undo.pop_all()
        except Exception as error:
            explain(path, beside, error, size)
            raise


def take(file, path):
    """Lock an open file, for this process alone to write what is to lie at `path`."""
    with contextlib.suppress(OSError):  # of a file system without locks
        if not is_free(file):
            raise UserError(f"{path}: another process is writing it; wait for that one or stop it")


def is_free(lock):
    """Take an open file's lock for this process alone; False where another one holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def resume_of(checkpoints):
    """Return the folder in which a training gathers its checkpoints until the stage is complete."""
    return Path(f"{checkpoints}.resume")


def flush(path):
    """Wait until the content of the file or folder `path` is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_json(content):
    """Return `content` as the readable JSON that write_json writes, with its format and its checksum."""
    content = json.loads(json.dumps({"format": FORMAT, **content}, allow_nan=False))
    return json.dumps({**content, "checksum": checksum_of(content)}, indent=1) + "\n"


def write_json(path, content):
    """Write `content`, a dict, as readable JSON, whole or not at all."""
    text = as_json(content)
    with whole(path, len(text)) as beside:
        beside.write_text(text)


def read_json(path, remedy=AGAIN):
    """Read a file of write_json; a missing or damaged one, or one of another format, is a UserError that names it."""
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({' '.join(str(error).split())}); {remedy}") from None
    if not isinstance(content, dict) or "checksum" not in content:
        raise UserError(f"{path}: has no checksum, so it is damaged or of an older version; {remedy}")
    if content.pop("checksum") != checksum_of(content):
        raise UserError(f"{path}: damaged, for its checksum is not that of its content; {remedy}")
    if (found := content.pop("format")) != FORMAT:
        raise UserError(f"{path}: has format {found}, not {FORMAT}; {remedy}")
    return content


def seal_table(written, path):
    """Write the checksum of a table that will lie at `path` to a file beside it, as sha256sum would."""
    with whole(beside_table(path)) as beside:
        beside.write_text(sha256_line(written.read_bytes(), path.name))


def read_sealed_table(path, remedy=AGAIN):
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
