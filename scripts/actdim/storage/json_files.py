"""JSON files that say what format they have and whether they are what was written."""

import json
from pathlib import Path

from actdim.errors import UserError
from actdim.storage.atomic import AGAIN, atomic_write
from actdim.storage.checksums import checksum_of

FORMAT = 2  # of JSON files


def as_json(content):
    """Return `content` as the readable JSON that write_json writes, with its format and its checksum."""
    content = json.loads(json.dumps({"format": FORMAT, **content}, allow_nan=False))
    return json.dumps({**content, "checksum": checksum_of(content)}, indent=1) + "\n"


def write_json(path, content):
    """Write `content`, a dict, as readable JSON, whole or not at all."""
    text = as_json(content)
    with atomic_write(path, len(text)) as beside:
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
