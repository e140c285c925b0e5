"""Files that settings name, watched by content: a digest that changes with what is in them, not with their times.

Digests are cached in the working directory's .snakemake/, if there is one, in two files for each path of a setting:

    content-<digest of the path>.json        the digest of all sizes and times, and the digest of the content
    content-<digest of the path>-files.json  the size, the times and the digest of the content of each file

Where no size or time has changed, only the first is read. Otherwise, files whose size or time changed are read again.
"""

import contextlib
import errno
import functools
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from xxhash import xxh3_128

from actdim.errors import UserError
from actdim.provenance import digest_of
from actdim.storage.json_files import read_json, write_json

CACHE = Path(".snakemake/actdim")
READERS = 4  # threads, because a network file system answers late


class Watched:
    """Annotates a setting that names a file or folder.

    list_files: function of the setting's value that returns the paths of the files whose content counts.
    """

    def __init__(self, list_files):
        self.list_files = list_files


def content_digests(sections):
    """Return {path: digest of its content} of all files and folders that sections of settings name.

    sections: {name of a section: its settings}. Settings annotated with Watched and the paths in `files` count.
    Raises UserError that names the section and the setting where there is no such file.
    """
    digests = {}
    for section, settings in sections.items():
        for key, path, list_files in watched_paths(settings):
            try:
                digest = content_digest(path, list_files)
            except OSError as error:
                raise UserError(f"{section}.{key}: {error.filename or path}: {error.strerror.lower()}") from None
            digests |= {path: digest} if digest else {}
    return digests


def watched_paths(settings):
    """Yield (key, path, function that lists its files) of each file or folder that settings name."""
    for key, field in type(settings).model_fields.items():
        value = getattr(settings, key)
        if key == "files":  # of every function; one of the user's own may take another type by this name
            yield from ((key, path, files_below) for path in (value if isinstance(value, list) else []))
        elif value is not None:
            markers = (marker for marker in field.metadata if isinstance(marker, Watched))
            yield from ((key, value, marker.list_files) for marker in markers)


def files_below(path):
    """Return [path] for a file; for a folder, the sorted paths of all visible files in it and below it."""
    if not os.path.isdir(path):
        return [path]
    paths = []
    for directory, folders, files in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [os.path.join(directory, name) for name in files if not name.startswith(".")]
    return sorted(paths)


@functools.cache
def content_digest(path, list_files):
    """Return a digest of the files that `list_files(path)` returns: of their names below `path` and their content.

    None where there are none, such as for weights given by name.
    """
    files = {os.path.relpath(file, path): file for file in list_files(path)}
    if not files:
        return None
    states = {name: state_of(file) for name, file in files.items()}
    key = digest_of(os.path.abspath(path))
    whole, single = CACHE / f"content-{key}.json", CACHE / f"content-{key}-files.json"
    state, known = digest_of(states), read_cached(whole)
    if known.get("state") != state:
        before = read_cached(single).get("files", {})
        changed = [name for name in files if before.get(name, [None])[0] != states[name]]
        with ThreadPoolExecutor(READERS) as readers:
            read = dict(zip(changed, readers.map(lambda name: file_digest(files[name]), changed), strict=True))
        digests = {name: read.get(name) or before[name][1] for name in files}
        known = {"state": state, "content": digest_of(digests)}
        if CACHE.parent.is_dir():
            with contextlib.suppress(UserError, OSError):  # a full disk, or another process writes the same
                CACHE.mkdir(exist_ok=True)
                write_json(single, {"files": {name: [states[name], digests[name]] for name in files}})
                write_json(whole, known)
    return known["content"]


def state_of(file):
    """Return what changes when a file is written: its size, and the times of its content and of its entry."""
    stat = os.stat(file)
    if not os.path.isfile(file):
        raise OSError(errno.EINVAL, "not a file", file)
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def file_digest(path):
    """Return the digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, xxh3_128).hexdigest()


def read_cached(path):
    """Return the content of a file of the cache; {} where there is none."""
    with contextlib.suppress(UserError):
        return read_json(path)
    return {}
