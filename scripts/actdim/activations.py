"""Activations: captured from any model by module name, stored in HDF5 a layer a data set."""

import h5py
import numpy as np
import torch

from actdim.errors import UserError
from actdim.files import whole
from actdim.hdf5 import FORMAT, INPUT

BATCH = 500


def layer_names(model, wanted):
    """Return the names of the layers to capture: `wanted`, or for ["all"] the input and the model's own list.

    Raises UserError where the model has no module of that name.
    """
    if list(wanted) == ["all"]:
        return [INPUT, *model.layers]
    known = [INPUT, *(name for name, _ in model.named_modules() if name)]
    for name in wanted:
        if name not in known:
            raise UserError(
                f"activations.layers: the model has no layer {name!r}; it has {', '.join([INPUT, *model.layers])}"
            )
    return list(wanted)


@torch.no_grad()
def forward(model, inputs, layers):
    """Return (logits, {layer: output}) for a batch, the layers in the order in which the model reached them."""
    outputs = {INPUT: inputs} if INPUT in layers else {}

    def keep(name):
        # A copy, for a later operation may work in place.
        return lambda module, arguments, output: outputs.update({name: output.detach().clone()})

    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in layers if name != INPUT]
    try:
        return model.eval()(inputs), outputs
    finally:
        for handle in handles:
            handle.remove()


def dump(path, model, samples, layers, attributes):
    """Write the activations of `layers` on `samples` to the HDF5 file `path`, whole or not at all.

    samples: a datasets.Split. Values are float16, and float32 in a layer that does not fit it (see `fits_half`).
    Layout: /layers/<layer> (n, features) with its original shape, depth and whether it feeds the classifier;
    /labels, /logits, /sample_index; `attributes` on the file.
    Returns the names of the layers that float16 could not hold.
    """
    single = set()
    with whole(path) as beside:
        while True:
            with h5py.File(beside, "w") as file:
                file.attrs.update({"format": FORMAT, **attributes})
                misfits = write(file, model, samples, layers, single)
            if not misfits:
                return single
            single |= misfits


def write(file, model, samples, layers, single):
    """Write all samples batch by batch; return the layers, if any, whose values do not fit float16.

    single: the layers to write in float32.
    """
    device = next(model.parameters()).device
    n = len(samples.inputs)
    edges = np.linspace(0, n, -(-n // BATCH) + 1).astype(int)  # batches of one size, for fits_half looks at spreads
    for rows in map(slice, edges[:-1], edges[1:]):
        logits, outputs = forward(model, torch.from_numpy(samples.inputs[rows]).to(device), layers)
        values = {f"layers/{name}": output.flatten(1).float().cpu().numpy() for name, output in outputs.items()}
        misfits = {name for name in set(layers) - single if not fits_half(values[f"layers/{name}"])}
        if misfits:
            return misfits
        values["logits"] = logits.float().cpu().numpy()
        if rows.start == 0:
            for name, value in values.items():
                half = name.startswith("layers/") and name.removeprefix("layers/") not in single
                file.create_dataset(name, (n, value.shape[1]), dtype=np.float16 if half else np.float32)
            for depth, (name, output) in enumerate(outputs.items(), start=INPUT not in outputs):
                own = file[f"layers/{name}"].attrs
                own.update(shape=output.shape[1:], depth=depth, feeds_classifier=name == model.layers[-1])
        for name, value in values.items():
            file[name][rows] = value
    file["labels"] = samples.labels
    file["sample_index"] = samples.index
    return set()


def fits_half(values):
    """Tell whether float16 holds a batch of activations (n, features): none overflows, and rounding stays small.

    Small is 1/1000 of the layer's spread: where all values are tiny, or lie close together far from 0, rounding
    would move neighbors about. Values that are infinite already lose nothing.
    """
    finite = np.where(np.isfinite(values), values, 0)
    with np.errstate(over="ignore"):
        error = finite - finite.astype(np.float16)
    return bool(np.isfinite(error).all() and np.mean(error**2) <= 1e-6 * np.mean(finite.var(axis=0)))
