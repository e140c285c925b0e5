"""The HDF5 file of activations: one layer of it opened to be read."""

import contextlib

import h5py
import numpy as np

from actdim.errors import UserError
from actdim.storage.hdf5 import damage, open_file, require_sealed, seal, simple_attributes
from actdim.storage.layer_reader import StoredLayer


def seal_rows(data, sums):
    """Store what layers.row_checksums gives of a data set (n, features) beside it, and seal it with them."""
    data.file[f"checksums{data.name}"] = sums
    seal(data, str(data.dtype), data.shape, sums)


@contextlib.contextmanager
def open_layer(path, layer):
    """Open one layer of an activations file; yield (points, labels, source).

    points: a StoredLayer (n, features); labels: (n,) classes, or None where the file has none.
    source: what the file says of them, for the results to say it too: study, settings, checkpoint, layer, depth,
    feeds_classifier, accuracies and losses, as far as it does.
    Raises UserError where the file or the layer is missing, damaged or of another format. A file of someone else's,
    of which the format is no number, has no checksums.
    """
    with open_file(path) as (file, ours):
        with damage(path):
            layers = file.get("layers")
            if not isinstance(layers, h5py.Group) or layer not in layers:
                known = ", ".join(layers) if isinstance(layers, h5py.Group) else "no /layers"
                raise UserError(f"{path}: no layer {layer!r}; it has {known}")
            data = layers[layer]
            if data.ndim != 2:
                raise UserError(f"{path}: /layers/{layer} has shape {data.shape}; should be (n, features)")
            labels = file["labels"][()] if isinstance(file.get("labels"), h5py.Dataset) else None
            sums = file[f"checksums{data.name}"][:] if ours else None
            if ours:
                require_sealed(file["labels"], labels)
                source = {**require_sealed(file), **require_sealed(data, str(data.dtype), data.shape, sums)}
            else:
                source = {**simple_attributes(file), **simple_attributes(data)}
            source["layer"] = layer
            source.pop("format", None)
        yield StoredLayer(path, data, sums), labels, source


def read_labels_and_predictions(path):
    """Return (number of samples n, labels (n,), predicted classes (n,)) of an activations file.

    Labels or predictions are None where the file has none. The prediction is the class of the largest logit, -1 where a
    logit is not finite. Raises UserError as open_layer, and where there is not an integer label, or a row of logits,
    for each row of the layers.
    """
    with open_file(path) as (file, ours), damage(path):
        layers = file.get("layers")
        sizes = {data.shape[0] for data in layers.values()} if isinstance(layers, h5py.Group) else set()
        if len(sizes) != 1:
            raise UserError(f"{path}: should have /layers of as many rows each, a row for each sample")
        (n,) = sizes
        labels = file["labels"][()] if isinstance(file.get("labels"), h5py.Dataset) else None
        if ours:
            require_sealed(file["labels"], labels)
        if labels is not None:
            labels = checked_labels(path, labels, n, f"should be an integer for each of the {n} rows of the layers")
        if not isinstance(file.get("logits"), h5py.Dataset):
            return n, labels, None
        if file["logits"].ndim != 2 or len(file["logits"]) != n:
            raise UserError(f"{path}: /logits has shape {file['logits'].shape}; should be ({n}, classes)")
        sums = file["checksums/logits"][:] if ours else None
        logits = StoredLayer(path, file["logits"], sums)[:]
        return n, labels, np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)


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
    fractions = np.flatnonzero(~np.isfinite(labels) | (labels % 1 != 0)) if labels.dtype.kind == "f" else []
    if len(fractions):
        raise UserError(f"{path}: /labels holds {labels[fractions[0]]:g} in row {fractions[0]}; {right}")
    return labels.astype(np.int64)


def type_name(values):
    """Return the type of an HDF5 data set's values for a reader."""
    return "text" if values.dtype.kind in "SUO" else values.dtype.name
