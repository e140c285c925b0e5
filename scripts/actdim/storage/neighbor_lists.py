"""The HDF5 file of neighbor lists."""

from typing import NamedTuple

import h5py
import numpy as np

from actdim.errors import UserError
from actdim.storage.hdf5 import (
    FORMAT,
    open_file,
    read_attributes,
    read_checked_attributes,
    read_foreign_attributes,
    user_errors,
    write_attributes,
    write_checksum,
)


class NeighborLists(NamedTuple):
    """The nearest neighbors of n points."""

    distances: np.ndarray  # (n, k) float32, ascending
    indices: np.ndarray  # (n, k) int32
    decimated: dict  # {divisor: (n // divisor, 2) distances to the first two neighbors within a random subset}


def write_lists(group, rows, indices, distances, decimated, report):
    """Write the fields of NeighborLists, and the report of their search as attributes, to a group of an HDF5 file.

    rows: (n,) the rows of the layer that have lists, in the order in which `indices` counts them; copies have none.
    """
    group["rows"], group["indices"], group["distances"] = rows, indices, distances
    for divisor, of_subset in decimated.items():
        group[f"decimated/{divisor}"] = of_subset
    write_attributes(group, {"k": indices.shape[1], **report})


def complete_file(file, attributes):
    """Write the attributes of a neighbors file that is otherwise complete, and the checksum of all it holds."""
    write_attributes(file, {"format": FORMAT, **attributes})
    write_checksum(file, *contents(file))


def contents(group):
    """Return [name, attributes or array, ...] of all groups and data sets in a group."""
    items = []

    def visit(name, item):
        items.extend([name, read_attributes(item) if isinstance(item, h5py.Group) else item[()]])

    group.visititems(visit)
    return items


def read_neighbors(path):
    """Return ([(label, NeighborLists, report)], attributes) of a neighbors file.

    label: None for neighbors among all points; in a file by class, the class within which they are neighbors.
    report: of the search, see neighbors.search.find_neighbors; attributes: of the file.
    Raises UserError where the file is missing, corrupt or of another format.
    """
    with open_file(path) as (file, is_ours), user_errors(path, is_ours):
        items = contents(file)
        attributes = read_checked_attributes(file, *items) if is_ours else read_foreign_attributes(file)
    by_name = dict(zip(items[::2], items[1::2], strict=True))
    groups = [name for name in by_name if name.startswith("classes/") and name.count("/") == 1]
    if not groups:
        return [(None, lists_of_group(path, "", by_name), attributes)], attributes
    by_class = sorted((class_of(path, name), name) for name in groups)
    return [(label, lists_of_group(path, f"{name}/", by_name), by_name[name]) for label, name in by_class], attributes


def class_of(path, name):
    """Return the class in a group's name, classes/3; UserError where it is no integer."""
    label = name.removeprefix("classes/")
    try:
        return int(label)
    except ValueError:
        raise UserError(f"{path}: /classes/{label}: {label!r} should be the number of a class") from None


def lists_of_group(path, prefix, by_name):
    """Return the NeighborLists of a group of a neighbors file; one from elsewhere may lack the decimated ones.

    prefix: the group's name and a slash; by_name: {name: array} of the file.
    """
    distances, indices = by_name.get(f"{prefix}distances"), by_name.get(f"{prefix}indices")
    if distances is None or indices is None:
        raise UserError(f"{path}: lacks /{prefix}distances or /{prefix}indices, which should both be (n, k)")
    if isinstance(distances, dict) or isinstance(indices, dict):
        raise UserError(f"{path}: /{prefix}distances and /{prefix}indices should be data sets, not groups")
    if distances.ndim != 2 or distances.shape != indices.shape:
        shapes = f"/{prefix}distances {distances.shape} and /{prefix}indices {indices.shape}"
        raise UserError(f"{path}: {shapes} should both be (n, k)")
    start = f"{prefix}decimated/"
    decimated = {int(name.removeprefix(start)): item for name, item in by_name.items() if name.startswith(start)}
    return NeighborLists(distances, indices, dict(sorted(decimated.items())))


def read_rows_and_lists(path):
    """Return ((rows, indices, distances), source, n) of a neighbors file that is not by class.

    rows: (m,) the samples that have lists, in the order in which `indices` (m, k) counts them; source: what the file
    says about them; n: the number of samples, copies included.
    Raises UserError as read_neighbors does, and where the file is by class.
    """
    groups, attributes = read_neighbors(path)
    if len(groups) != 1 or groups[0][0] is not None:
        raise UserError(f"{path}: holds neighbors within classes; should be those among all samples")
    _, lists, report = groups[0]
    with open_file(path) as (file, is_ours), user_errors(path, is_ours):
        rows = file["rows"][()] if is_ours else np.arange(len(lists.indices))
    n = len(rows) + report.get("n_copies", 0)
    return (rows, lists.indices, lists.distances), attributes.get("source", {}), n
