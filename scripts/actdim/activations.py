"""Activations: captured from any model by module name, stored in HDF5 a layer a data set."""

from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import torch

from actdim.batches import normalize
from actdim.errors import UserError
from actdim.files import whole
from actdim.hdf5 import FORMAT, INPUT

BATCH = 500


def layer_names(model, wanted):
    """Return the names of the layers to capture: `wanted`, or for ["all"] the input and the model's own list.

    Raises UserError where the model has no module of that name, or no list.
    """
    if list(wanted) == ["all"]:
        if not own_layers(model):
            children = ", ".join(name for name, _ in model.named_children())
            raise UserError(
                f"activations.layers: the model lists no `layers` of its own; name some of its modules: {children}, ..."
            )
        return [INPUT, *model.layers]
    known = [INPUT, *(name for name, _ in model.named_modules() if name)]
    shown = [INPUT, *(own_layers(model) or known[1:])]
    for name in wanted:
        if name not in known:
            raise UserError(f"activations.layers: the model has no layer {name!r}; it has {', '.join(shown)}")
    return list(wanted)


def own_layers(model):
    """Return the names of layers that a model lists as its `layers`; None where it has none, or modules there."""
    layers = getattr(model, "layers", None)
    return layers if isinstance(layers, list | tuple) else None


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


def dump(path, model, samples, index, layers, attributes):
    """Write the activations of `layers` on `samples` to the HDF5 file `path`, whole or not at all.

    samples: batches.Samples, on the model's device; index: (n,) the row of each in the data set.
    Values are float16, and float32 in a layer that does not fit it (see `fit_half`).
    Layout: /layers/<layer> (n, features) with its original shape, depth and whether it feeds the classifier;
    /labels, /logits, /sample_index; `attributes` on the file.
    Returns the names of the layers that float16 could not hold.
    """
    single = set()
    with whole(path) as beside:
        while True:
            with h5py.File(beside, "w") as file:
                file.attrs.update({"format": FORMAT, **attributes})
                file["labels"], file["sample_index"] = samples.labels.cpu(), index
                misfits = write(file, model, samples, layers, single)
            if not misfits:
                return single
            single |= misfits


def write(file, model, samples, layers, single):
    """Write all samples batch by batch, one while the next is computed.

    single: the layers to write in float32. Returns the layers, if any, whose values turned out not to fit float16.
    """
    n = len(samples.labels)
    edges = np.linspace(0, n, -(-n // BATCH) + 1).astype(int)  # batches of one size, for fit_half looks at spreads
    with ThreadPoolExecutor(1) as writer:
        written = None
        for rows in map(slice, edges[:-1], edges[1:]):
            logits, outputs = forward(model, normalize(samples.inputs[rows], samples), layers)
            values = {name: output.flatten(1).float() for name, output in outputs.items()}
            halves = {name: value.half() for name, value in values.items() if name not in single}
            fits = fit_half(values, halves)
            if not all(fits.values()):
                return {name for name in halves if not fits[name]}
            if rows.start == 0:
                prepare(file, n, logits, {**values, **halves}, outputs, model)
            arrays = {f"layers/{name}": value.cpu().numpy() for name, value in {**values, **halves}.items()}
            if written:
                written.result()
            written = writer.submit(store, file, rows, {**arrays, "logits": logits.float().cpu().numpy()})
        written.result()
    return set()


def prepare(file, n, logits, values, outputs, model):
    """Create the data sets for n samples, from a first batch of logits, values to store and outputs of layers."""
    file.create_dataset("logits", (n, logits.shape[1]), dtype=np.float32)
    last = (own_layers(model) or list(outputs))[-1]
    for depth, (name, output) in enumerate(outputs.items(), start=INPUT not in outputs):
        dtype = np.float16 if values[name].dtype == torch.float16 else np.float32
        own = file.create_dataset(f"layers/{name}", (n, values[name].shape[1]), dtype=dtype).attrs
        own.update(shape=output.shape[1:], depth=depth, feeds_classifier=name == last)


def store(file, rows, arrays):
    """Write the rows of a batch to the data sets of a file."""
    for name, array in arrays.items():
        file[name][rows] = array


def fit_half(values, halves):
    """Tell of each layer whether float16 holds a batch of it: none overflows, and rounding stays small.

    values: {layer: (n, features) float32}; halves: the same in float16, of the layers to look at.
    Small is 1/1000 of the layer's spread: where all values are tiny, or lie close together far from 0, rounding
    would move neighbors about. Values that are infinite already lose nothing.
    """
    fits = []
    for name, half in halves.items():
        finite = torch.where(values[name].isfinite(), values[name], 0)
        lost = torch.where(values[name].isfinite(), half.float() - values[name], 0)
        fits.append(lost.isfinite().all() & (lost.square().mean() <= 1e-6 * finite.var(0, correction=0).mean()))
    return dict(zip(halves, torch.stack(fits).tolist(), strict=True)) if fits else {}
