"""The HDF5 file of neighbor lists."""

from typing import NamedTuple

import h5py
import numpy as np

from actdim.errors import UserError
from actdim.storage.atomic import REMAKE
from actdim.storage.hdf5 import FORMAT, attributes, damage, note, open_file, require_sealed, seal, simple_attributes


class Lists(NamedTuple):
    """The nearest neighbors of points."""

    distances: np.ndarray  # (n, k) float32, sorted
    indices: np.ndarray  # (n, k) int32
    decimated: dict  # {part: (n // part, 2) distances to the first two neighbors in a random subset}


def write_lists(group, rows, indices, distances, decimated, report):
    """Write neighbor lists and the report of their search to a group of an HDF5 file.

    rows: (n,) the rows of the layer that the lists are of, in whose order `indices` counts; copies have no list.
    """
    group["rows"], group["indices"], group["distances"] = rows, indices, distances
    for part, of_part in decimated.items():
        group[f"decimated/{part}"] = of_part
    note(group, {"k": indices.shape[1], **report})


def seal_neighbors(file, about):
    """Write the attributes of a neighbors file, which then holds all, and its checksum."""
    note(file, {"format": FORMAT, **about})
    seal(file, *content(file))


def content(group):
    """Return [name, attributes or array, ...] of all that lies in a group."""
    found = []

    def visit(name, thing):
        found.extend([name, attributes(thing) if isinstance(thing, h5py.Group) else thing[()]])

    group.visititems(visit)
    return found


def read_neighbors(path):
    """Return ([(label, Lists, report)], attributes) of a neighbors file.

    label: None for the neighbors among all points; the class for those within it, of a file that is by class.
    report: of the search; see neighbors.find. Raises UserError where the file is missing, damaged or of another format.
    """
    with open_file(path) as (file, ours), damage(path):
        stored = content(file)
        about = require_sealed(file, *stored) if ours else simple_attributes(file)
        found = dict(zip(stored[::2], stored[1::2], strict=True))
    classes = sorted(class_of(path, name) for name in found if name.startswith("classes/") and name.count("/") == 1)
    if not classes:
        return [(None, lists_at(path, "", found), about)], about
    return [(label, lists_at(path, f"classes/{label}/", found), found[f"classes/{label}"]) for label in classes], about


def class_of(path, name):
    """Return the class in a group's name, classes/3; UserError where it is no integer."""
    label = name.removeprefix("classes/")
    try:
        return int(label)
    except ValueError:
        raise UserError(f"{path}: /classes/{label}: {label!r} should be the number of a class") from None


def lists_at(path, place, found):
    """Return the Lists in a group of a neighbors file; a file of someone else's may lack the decimated ones."""
    if not {f"{place}distances", f"{place}indices"} <= found.keys():
        raise UserError(f"{path}: lacks /{place}distances or /{place}indices; {REMAKE}")
    distances, indices = found[f"{place}distances"], found[f"{place}indices"]
    if distances.ndim != 2 or distances.shape != indices.shape:
        shapes = f"/{place}distances {distances.shape} and /{place}indices {indices.shape}"
        raise UserError(f"{path}: {shapes} should both be (n, k)")
    start = f"{place}decimated/"
    decimated = {int(name.removeprefix(start)): of for name, of in found.items() if name.startswith(start)}
    return Lists(distances, indices, dict(sorted(decimated.items())))


def read_rows_and_lists(path):
    """Return ((rows, indices, distances), source, n) of a neighbors file that is not by class.

    rows: (m,) the samples that have lists, in whose order `indices` (m, k) counts. source: what the file says of them;
    n: the number of samples, copies included.
    Raises UserError as read_neighbors does, and where the file is by class.
    """
    groups, about = read_neighbors(path)
    if len(groups) != 1 or groups[0][0] is not None:
        raise UserError(f"{path}: holds neighbors within classes; should be those among all samples")
    _, lists, report = groups[0]
    with open_file(path) as (file, ours), damage(path):
        rows = file["rows"][()] if ours else np.arange(len(lists.indices))
    return (rows, lists.indices, lists.distances), about.get("source", {}), len(rows) + report.get("n_copies", 0)
