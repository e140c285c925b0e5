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
            labels = file["labels"][:] if "labels" in file else None
            sums = file[f"checksums{data.name}"][:] if ours else None
            if ours:
                require_sealed(file["labels"], labels)
                source = {**require_sealed(file), **require_sealed(data, str(data.dtype), data.shape, sums)}
            else:
                source = {**simple_attributes(file), **simple_attributes(data)}
            source["layer"] = layer
            source.pop("format", None)
        yield StoredLayer(path, data, sums), labels, source


def rows_by_class(path, labels):
    """Return [(class, its rows)] of the labels of an activations file; UserError where it has none."""
    if labels is None:
        raise UserError(f"{path}: has no /labels; --by-class needs them")
    return [(int(label), np.flatnonzero(labels == label)) for label in np.unique(labels)]
