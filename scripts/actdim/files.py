"""Files that appear whole or not at all."""

import contextlib
import json
import os
from pathlib import Path

from actdim.errors import UserError
from actdim.space import explain


@contextlib.contextmanager
def whole(path, size=None):
    """Yield a path beside `path` to write to; on success it becomes `path`, on failure it is removed.

    The bytes are on disk before the name appears, so a crash leaves the old file or none.
    size: the bytes that it needs, where they are known, to say so. Raises NoSpace where the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        yield beside
        flush(beside)
        beside.replace(path)
    except Exception as error:
        explain(path, beside, error, size)
        raise
    finally:
        beside.unlink(missing_ok=True)


def flush(path):
    """Wait until the content of the file or folder `path` is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_json(content):
    """Return `content` as the readable JSON that write_json writes."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def write_json(path, content):
    """Write `content` as readable JSON, whole or not at all."""
    text = as_json(content)
    with whole(path, len(text)) as beside:
        beside.write_text(text)


def read_json(path):
    """Read a JSON file; a missing or damaged one is a UserError that names it."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run again to make it anew") from None
