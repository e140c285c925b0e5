"""Checksums, so that a corrupt file is found when it is read."""

import hashlib
import json
import mmap

import numpy as np
from xxhash import xxh3_128

LENGTH = 32  # hexadecimal digits of a checksum


def checksum_of(*items):
    """Return the checksum of arrays, with their types and shapes, and of plain values, as JSON."""
    state = xxh3_128()
    for item in items:
        is_array = isinstance(item, np.ndarray)
        text = f"{item.dtype.str} {item.shape}" if is_array else json.dumps(item, sort_keys=True)
        state.update(f"{len(text)} {text}".encode())
        if is_array:
            state.update(np.ascontiguousarray(item))
    return state.hexdigest()


def append_checksum(path):
    """Append its checksum to a zip archive, as the comment that the format allows at the end of a file."""
    with open(path, "r+b") as file:
        file.seek(-2, 2)
        file.write(LENGTH.to_bytes(2, "little"))
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            checksum = xxh3_128(content).hexdigest()
        file.write(checksum.encode())


def has_valid_checksum(path):
    """Tell whether a file ends with the checksum of everything before it; see append_checksum."""
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
    """Return the line with which `sha256sum --check` recognizes the content, bytes, of the file `name`."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"
