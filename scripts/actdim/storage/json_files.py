"""JSON files with a format number and a checksum of their content."""

import json
from pathlib import Path

from actdim.errors import UserError
from actdim.storage.atomic import ANOTHER_VERSION, REMAKE, atomic_write
from actdim.storage.checksums import checksum_of

FORMAT = 2  # of JSON files


def as_json(content):
    """Return `content` as readable JSON, with its format number and its checksum."""
    content = json.loads(json.dumps({"format": FORMAT, **content}, allow_nan=False))
    return json.dumps({**content, "checksum": checksum_of(content)}, indent=1) + "\n"


def write_json(path, content):
    """Write `content`, a dict, as readable JSON."""
    text = as_json(content)
    with atomic_write(path, len(text)) as temporary:
        temporary.write_text(text)


def read_json(path, remedy=REMAKE):
    """Read a file that write_json wrote.

    remedy: what to do if it is corrupt. Raises UserError if the file is missing, corrupt or of another format.
    """
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: corrupt ({' '.join(str(error).split())}); {remedy}") from None
    if not isinstance(content, dict) or not {"format", "checksum"} & content.keys():
        raise UserError(f"{path}: not a result of actdim, which states its format and a checksum")
    if "checksum" not in content:
        raise UserError(f"{path}: no checksum: {ANOTHER_VERSION}")
    if content.pop("checksum") != checksum_of(content):
        raise UserError(f"{path}: corrupt: checksum mismatch; {remedy}")
    if (number := content.pop("format")) != FORMAT:
        raise UserError(f"{path}: format {number}, not {FORMAT}: {ANOTHER_VERSION}")
    return content
