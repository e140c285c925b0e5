"""Checksums: what is stored says of itself what it holds, so that damage is found when it is read."""

import hashlib
import json
import mmap

import numpy as np
from xxhash import xxh3_128

LENGTH = 32  # hexadecimal digits


def checksum_of(*parts):
    """Return the checksum of texts, arrays (with their types and shapes) and plain values (as JSON)."""
    state = xxh3_128()
    for part in parts:
        array = isinstance(part, np.ndarray)
        said = f"{part.dtype.str} {part.shape}" if array else json.dumps(part, sort_keys=True)
        state.update(f"{len(said)} {said}".encode())
        if array:
            state.update(np.ascontiguousarray(part))
    return state.hexdigest()


def seal_archive(path):
    """Append the checksum of a zip archive to it, as the comment that the format allows at its end."""
    with open(path, "r+b") as file:
        file.seek(-2, 2)
        file.write(LENGTH.to_bytes(2, "little"))
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            checksum = xxh3_128(content).hexdigest()
        file.write(checksum.encode())


def archive_is_whole(path):
    """Tell whether a file ends with the checksum of all before it; see seal_archive."""
    with open(path, "rb") as file:
        if file.seek(0, 2) <= LENGTH:
            return False
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            memoryview(content) as view,
            view[:-LENGTH] as before,
        ):
            return xxh3_128(before).hexdigest().encode() == content[-LENGTH:]


def sha256_line(content, name):
    """Return the line by which `sha256sum --check` knows the file `name` of some bytes."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"
