"""Activations from files of the user's own, stored as a dump stores those of a model; see array_files.py."""

import numpy as np

from actdim.activations.array_files import StoredArray, as_floats, float_dtype, opened, read_floats, readable
from actdim.errors import UserError
from actdim.names import INPUT
from actdim.storage.activations_file import NO_LABELS, as_integers, write_row_checksums
from actdim.storage.atomic import atomic_write
from actdim.storage.hdf5 import FORMAT, create_external, create_file, write_attributes, write_checksum
from actdim.storage.layer_reader import row_checksums


def import_activations(path, arrays, labels, class_names, attributes):
    """Write the activations in files of the user's own to the HDF5 file `path`, complete or not at all.

    arrays: {layer: StoredArray}, from the input to the last layer, which feeds the classifier; of more than two
    dimensions, all but the first are flattened. labels: (n,) int64, or None; class_names: what they count, or [].
    The layout is that of dump.dump, without logits. Values that can be read in place are not copied.
    Returns the names of the layers whose values lie where they were.
    """
    copied = [array for array in arrays.values() if not array.in_place]
    with (
        atomic_write(path) as temporary,
        create_file(temporary, sum(array.bytes_as_floats for array in copied)) as file,
    ):
        write_attributes(file, {"format": FORMAT, **({NO_LABELS: True} if labels is None else {}), **attributes})
        write_checksum(file)
        if labels is not None:
            file["labels"] = labels
            write_checksum(file["labels"], labels)
        if class_names:
            file["class_names"] = np.array([name.encode() for name in class_names])
            write_checksum(file["class_names"])
        for depth, (layer, array) in enumerate(arrays.items(), start=INPUT not in arrays):
            data, checksums = store_array(file, f"layers/{layer}", array, path.parent)
            feeds = layer != INPUT and layer == list(arrays)[-1]
            write_attributes(data, {"shape": array.shape[1:], "depth": depth, "feeds_classifier": feeds})
            write_row_checksums(data, checksums)
    return [layer for layer, array in arrays.items() if array.in_place]


def store_array(file, name, array, folder):
    """Make a data set (n, features) of a StoredArray in an open HDF5 file; return (data set, row checksums)."""
    shape, dtype = (array.shape[0], array.features), float_dtype(array.dtype)
    checksums = np.empty(shape[0], np.uint64)
    if array.in_place:
        data = create_external(file, name, shape, dtype, array.path, array.offset)
    else:
        data = file.create_dataset(name, shape, dtype)
    for rows, values in read_floats(array, folder):
        checksums[rows] = row_checksums(values)
        if not array.in_place:
            data.write_direct(values, dest_sel=rows)
    return data, checksums


def read_labels(array: StoredArray):
    """Return the labels in a StoredArray as they are: (n,) int64, or texts. Raises UserError for any others."""
    right = "should be an integer or a text for each sample"
    if len(array.shape) != 1:
        raise UserError(f"{array.name}: labels of shape {array.shape}; {right}")
    with opened(array) as values, readable(array.path):
        if array.dtype == "text":
            return values.asstr()[:].astype(str)
        labels = values[:]
        if array.dtype[1:2] in ("S", "U"):
            return np.char.decode(labels) if array.dtype[1] == "S" else np.array(labels)
        numbers = as_floats(labels, array.dtype)
    return as_integers(numbers, f"{array.name}:", f"labels {right}")
