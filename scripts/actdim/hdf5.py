"""The HDF5 files that programs hand on to each other, read and checked."""

import json

import h5py
import numpy as np

from actdim.errors import UserError

FORMAT = 1
INPUT = "input"  # the layer that is the data itself


def read_layer(path, layer):
    """Return (points, source) of one layer of an activations file.

    points: (n, features) as stored. source: what the file says of them, for the results to say it too:
    study, settings, checkpoint, layer, depth, feeds_classifier, accuracies and losses, as far as it does.
    Raises UserError where the file or the layer is missing, damaged or of another format.
    """
    with open_file(path, "dump the activations") as file:
        layers = file.get("layers")
        if not isinstance(layers, h5py.Group) or layer not in layers:
            known = ", ".join(layers) if isinstance(layers, h5py.Group) else "no /layers"
            raise UserError(f"{path}: no layer {layer!r}; it has {known}")
        data = layers[layer]
        if data.ndim != 2:
            raise UserError(f"{path}: /layers/{layer} has shape {data.shape}; should be (n, features)")
        attributes = {**file.attrs, **data.attrs}
        source = {key: plain(value) for key, value in attributes.items() if key != "format"}
        return data[:], {**source, "layer": layer}


def open_file(path, remedy):
    """Open an HDF5 file of ours to read; UserError where it is missing, damaged or of another format."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError:
        raise UserError(f"{path}: not a whole HDF5 file; delete it and {remedy} again") from None
    found = file.attrs.get("format", FORMAT)
    if found != FORMAT:
        file.close()
        raise UserError(f"{path}: has format {found}, not {FORMAT}; delete it and {remedy} again")
    return file


def plain(value):
    """Return an HDF5 attribute as a plain Python value: JSON text as what it says, nan and inf (diverged) as None."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist() if np.isfinite(value).all() else None
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def read_neighbors(path):
    """Return (distances, indices, attributes) of a neighbors file; see neighbors.find.

    Raises UserError where the file is missing, damaged or of another format.
    """
    with open_file(path, "find the neighbors") as file:
        try:
            distances, indices = file["distances"][:], file["indices"][:]
        except (KeyError, OSError):
            raise UserError(f"{path}: lacks /distances or /indices; delete it and find the neighbors again") from None
        if distances.ndim != 2 or distances.shape != indices.shape:
            raise UserError(f"{path}: /distances {distances.shape} and /indices {indices.shape} should both be (n, k)")
        return distances, indices, {key: plain(value) for key, value in file.attrs.items()}
