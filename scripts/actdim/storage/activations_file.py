"""The HDF5 file of activations: how its layers are written with checksums, and how one is opened to be read."""

import contextlib

import h5py
import numpy as np

from actdim.errors import UserError
from actdim.storage.hdf5 import (
    find_item,
    open_file,
    read_checked_attributes,
    read_foreign_attributes,
    user_errors,
    write_checksum,
)
from actdim.storage.layer_reader import StoredLayer

LARGEST_LABEL = 2**53  # beyond which a float64 may be another integer than was meant
NO_LABELS = "no_labels"  # attribute of a file that has none


def write_row_checksums(data, checksums):
    """Write the row checksums (n,) uint64 of a data set (n, features), and the checksum of them and its attributes."""
    data.file[f"checksums{data.name}"] = checksums
    write_checksum(data, str(data.dtype), data.shape, checksums)


@contextlib.contextmanager
def open_layer(path, layer):
    """Open one layer of an activations file; yield (points, labels, source).

    points: the StoredLayer (n, features); labels: (n,) classes, or None if the file has none; source: what results
    repeat of the file, as far as it is known: study, settings, checkpoint, layer, depth, feeds_classifier, accuracies
    and losses.
    Raises UserError where the file or the layer is missing, corrupt or of another format. A file from elsewhere is one
    without a format number; it has no checksums.
    """
    with open_file(path) as (file, is_ours):
        with user_errors(path, is_ours):
            layers = find_item(file, "layers")
            if not isinstance(layers, h5py.Group) or layer not in layers:
                known = ", ".join(layers) if isinstance(layers, h5py.Group) else "no /layers"
                raise UserError(f"{path}: {f'no layer {layer!r}' if layer else 'name a layer'}; it has {known}")
            data = layers[layer]
            if not isinstance(data, h5py.Dataset):
                raise UserError(f"{path}: /layers/{layer} is a group; should be a data set (n, features)")
            if data.dtype.kind not in "biuf":
                raise UserError(f"{path}: /layers/{layer} holds {type_name(data)}; should be numbers")
            if data.ndim != 2:
                raise UserError(f"{path}: /layers/{layer} has shape {data.shape}; should be (n, features)")
            labels = read_array(file, "labels")
            checksums = file[f"checksums{data.name}"][:] if is_ours else None
            if is_ours:
                check_labels(file, labels)
                of_layer = read_checked_attributes(data, str(data.dtype), data.shape, checksums)
                source = {**read_checked_attributes(file), **of_layer}
            else:
                source = {**read_foreign_attributes(file), **read_foreign_attributes(data)}
            source["layer"] = layer
            source.pop("format", None)
        yield StoredLayer(path, data, checksums), labels, source


def read_labels_and_predictions(path):
    """Return (number of samples n, labels (n,), predicted classes (n,)) of an activations file.

    Labels or predictions are None where the file has none. The prediction is the class of the largest logit, -1 where a
    logit is not finite. Raises UserError as open_layer, and where there is not an integer label, or a row of logits,
    for each row of the layers.
    """
    with open_file(path) as (file, is_ours), user_errors(path, is_ours):
        layers = find_item(file, "layers")
        sizes = {data.shape[0] for data in layers.values()} if isinstance(layers, h5py.Group) else set()
        if len(sizes) != 1:
            raise UserError(f"{path}: should have /layers with the same number of rows, one for each sample")
        (n,) = sizes
        labels = read_array(file, "labels")
        if is_ours:
            check_labels(file, labels)
        if labels is not None:
            labels = checked_labels(path, labels, n, f"should be an integer for each of the {n} rows of the layers")
        logits = find_item(file, "logits")
        if not isinstance(logits, h5py.Dataset):
            return n, labels, None
        if logits.ndim != 2 or len(logits) != n:
            raise UserError(f"{path}: /logits has shape {logits.shape}; should be ({n}, classes)")
        logits = StoredLayer(path, logits, file["checksums/logits"][:] if is_ours else None)[:]
        return n, labels, np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)


def read_array(file, name):
    """Return the values of a data set of a file; None where there is none, or a group."""
    data = find_item(file, name)
    return data[()] if isinstance(data, h5py.Dataset) else None


def check_labels(file, labels):
    """Raise ValueError where the labels of an open file of ours are corrupt, or missing though it should have some."""
    if labels is not None or not file.attrs.get(NO_LABELS):
        read_checked_attributes(file["labels"], labels)


def rows_by_class(path, layer, labels, n):
    """Return [(class, its rows)] of the labels that an activations file has for the n rows of a layer.

    Raises UserError where there are none, not one for each row, or others than integers (1.0 is one).
    """
    right = f"--by-class needs an integer for each of the {n} rows of /layers/{layer}"
    if labels is None:
        raise UserError(f"{path}: has no /labels; {right}")
    labels = checked_labels(path, labels, n, right)
    return [(int(label), np.flatnonzero(labels == label)) for label in np.unique(labels)]


def checked_labels(path, labels, n, right):
    """Return labels as int64; UserError that ends in `right` where they are not n integers (1.0 is one)."""
    if labels.shape != (n,):
        count = len(labels) if labels.ndim == 1 else f"an array {labels.shape} of"
        raise UserError(f"{path}: /labels holds {count} labels; {right}")
    if labels.dtype.kind not in "biuf":
        raise UserError(f"{path}: /labels holds {len(labels)} labels of type {type_name(labels)}; {right}")
    return as_integers(labels, f"{path}: /labels", right)


def as_integers(labels, beginning, right):
    """Return numbers (n,) as int64; UserError, from `beginning` to `right`, where one is no integer below 2^53."""
    fractions = np.flatnonzero(~np.isfinite(labels) | (labels % 1 != 0)) if labels.dtype.kind == "f" else []
    if len(fractions):
        raise UserError(f"{beginning} holds {labels[fractions[0]]:g} in row {fractions[0]}; {right}")
    large = np.flatnonzero((labels >= LARGEST_LABEL) | (labels <= -LARGEST_LABEL)) if labels.dtype.kind != "b" else []
    if len(large):
        raise UserError(f"{beginning} holds {labels[large[0]]:g} in row {large[0]}; should be below 2^53; {right}")
    return labels.astype(np.int64)


def type_name(values):
    """Return the type of an HDF5 data set's values for a reader."""
    return "text" if values.dtype.kind in "SUO" else values.dtype.name
