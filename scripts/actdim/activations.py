"""Activations: captured from any model by module name, stored in HDF5 a layer a data set."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from actdim.batches import normalize
from actdim.errors import UserError
from actdim.files import whole
from actdim.hdf5 import FORMAT, INPUT, create, flush_data, make_room, note, seal, seal_rows
from actdim.layers import of_rows

BATCH = 100  # samples at once; larger activations of a wide layer take new memory each time, which is slow
CACHED = 1 << 18  # values
LOST = 1e-6  # of a layer's spread, in squares, that rounding may take
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{,199}")  # a layer's name, of which those of its files are made


class Kept(NamedTuple):
    """What a dump keeps of a layer's output on a batch."""

    values: torch.Tensor  # (n, ...), on the CPU
    fits: bool  # whether they hold what the output held


def layer_names(model, wanted):
    """Return the names of the layers to capture: `wanted`, or for ["all"] the input and the model's own list.

    Raises UserError where the model has no module of that name, or no list, or a name cannot stand in a path.
    """
    if list(wanted) == ["all"]:
        if not own_layers(model):
            children = ", ".join(name for name, _ in model.named_children())
            raise UserError(
                f"activations.layers: the model lists no `layers` of its own; name some of its modules: {children}, ..."
            )
        wanted = [INPUT, *model.layers]
    known = [INPUT, *(name for name, _ in model.named_modules() if name)]
    shown = [INPUT, *(own_layers(model) or known[1:])]
    for name in wanted:
        if name not in known:
            raise UserError(f"activations.layers: the model has no layer {name!r}; it has {', '.join(shown)}")
        if not PLAIN.fullmatch(name):
            raise UserError(
                f"activations.layers: {name!r} cannot name files; a model's modules should have names of letters, "
                "digits, _ and -, at most 200"
            )
    return list(wanted)


def own_layers(model):
    """Return the names of layers that a model lists as its `layers`; None where it has none, or modules there."""
    layers = getattr(model, "layers", None)
    return layers if isinstance(layers, list | tuple) else None


@torch.no_grad()
def forward(model, inputs, layers, keep=lambda name, output: output.clone()):
    """Return (logits, {layer: output}) for a batch, the layers in the order in which the model reached them.

    keep(layer, output): what to keep of an output, at once; a copy at least, for a later operation may work in place.
    """
    outputs = {INPUT: keep(INPUT, inputs)} if INPUT in layers else {}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda module, arguments, output, name=name: outputs.update({name: keep(name, one_tensor(name, output))})
        )
        for name in layers
        if name != INPUT
    ]
    try:
        return model.eval()(inputs), outputs
    finally:
        for handle in handles:
            handle.remove()


def one_tensor(name, output):
    """Return the output of a layer; UserError where it is several tensors."""
    if not isinstance(output, torch.Tensor):
        raise UserError(f"activations.layers: {name!r} returns no single tensor; name a part of it")
    return output


def dump(path, model, samples, index, layers, attributes):
    """Write the activations of `layers` on `samples` to the HDF5 file `path`, whole or not at all.

    samples: batches.Samples, on the model's device; index: (n,) the row of each in the data set.
    Values are float16, and float32 in a layer that does not fit it (see `halve`).
    Layout: /layers/<layer> (n, features) with its original shape, depth and whether it feeds the classifier;
    /labels, /logits, /sample_index; /checksums with layers.of_rows of every layer and of the logits; `attributes` on
    the file.
    Returns the names of the layers that float16 could not hold.
    """
    single = set()
    with whole(path) as beside:
        while True:
            with create(beside) as file:
                note(file, {"format": FORMAT, **attributes})
                seal(file)
                for name, values in (("labels", samples.labels.cpu().numpy()), ("sample_index", index)):
                    file[name] = values
                    seal(file[name], values)
                misfits = write(file, model, samples, layers, single)
            if not misfits:
                return single
            single |= misfits


def write(file, model, samples, layers, single):
    """Write all samples batch by batch, one while the next is computed, and on to the disk meanwhile.

    single: the layers to write in float32. Returns the layers, if any, whose values turned out not to fit float16.
    """

    def keep(name, output):
        return whole_values(output) if name in single else halve(output)

    n, sums = len(samples.labels), {}
    edges = np.linspace(0, n, -(-n // BATCH) + 1).astype(int)  # batches of one size, for `halve` looks at spreads
    with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as flusher:
        for rows in map(slice, edges[:-1], edges[1:]):
            inputs = normalize(samples.inputs[rows], samples)
            logits, outputs = forward(model, inputs, layers, keep)
            misfits = {name for name, kept in outputs.items() if not kept.fits}
            if misfits:
                return misfits
            if rows.start == 0:
                prepare(file, n, logits, outputs, model)
                sums = {name: np.empty(n, np.uint64) for name in ["logits", *(f"layers/{name}" for name in outputs)]}
                written = flushed = flusher.submit(flush_data, file)
            written.result()
            if flushed.done():
                flushed.result()  # here it says what went wrong, and nowhere else
                flushed = flusher.submit(flush_data, file)
            values = {f"layers/{name}": kept.values for name, kept in outputs.items()}
            written = writer.submit(store, file, rows, {**values, "logits": logits.float().cpu()}, sums)
        written.result()
        flushed.result()
    for name, own in sums.items():
        seal_rows(file[name], own)
    return set()


def prepare(file, n, logits, outputs, model):
    """Create the data sets for n samples, from the logits and the kept outputs of a first batch."""
    make_room(file, n * (4 * logits.shape[1] + sum(kept.values[0].nbytes for kept in outputs.values())))
    file.create_dataset("logits", (n, logits.shape[1]), dtype=np.float32)
    last = (own_layers(model) or list(outputs))[-1]
    for depth, (name, kept) in enumerate(outputs.items(), start=INPUT not in outputs):
        dtype = np.float16 if kept.values.dtype == torch.float16 else np.float32
        own = file.create_dataset(f"layers/{name}", (n, kept.values[0].numel()), dtype=dtype).attrs
        own.update(shape=kept.values.shape[1:], depth=depth, feeds_classifier=name == last)


def store(file, rows, values, sums):
    """Write the rows of a batch, tensors (n, ...), to the data sets of a file, and their checksums to `sums`.

    Channels last are put in order here.
    """
    for name, of_batch in values.items():
        flat = of_batch.flatten(1).numpy()
        file[name].write_direct(flat, dest_sel=rows)
        sums[name][rows] = of_rows(flat)


def whole_values(output):
    """Return a batch of a layer's activations (n, ...) as Kept in float32, on the CPU."""
    return Kept(output.to("cpu", torch.float32, copy=True), True)


def halve(output):
    """Return a batch of a layer's activations (n, ...) as Kept in float16, on the CPU.

    They fit where none overflows and rounding stays small: 1/1000 of the layer's spread. Where all values are tiny,
    or lie close together far from 0, rounding would move neighbors about. Values that are infinite already lose
    nothing.
    """
    half = output.to(torch.float16, copy=True)
    values, rounded = as_lying(output).float(), as_lying(half)
    if surely_fit(values):
        return Kept(half.cpu(), True)
    lost, spread = losses(values, rounded)
    if not np.isfinite([lost, spread]).all():
        infinite = ~values.isfinite()
        lost, spread = losses(values.masked_fill(infinite, 0), rounded.masked_fill(infinite, 0))
    return Kept(half.cpu(), bool(np.isfinite(lost) and lost <= LOST * spread))


def surely_fit(values):
    """Tell by little work of (n, features) float32 whether they are sure to fit float16, as most are; see `halve`.

    Rounding moves a value by 2^-11 of itself at most, or by 2^-25 where it is tiny; the largest is 65,504. The spread
    is known well enough where that makes little of it.
    """
    squares, sums = 0, 0
    for chunk in in_cache(values):
        squares, sums = squares + chunk.flatten() @ chunk.flatten(), sums + chunk.sum(0)
    spread = squares - sums @ sums / len(values)
    fit = (squares < 65504**2) & (2**-22 * squares + 2**-50 * values.numel() < LOST * spread)
    return bool(fit)


def as_lying(output):
    """Return (n, ...) as (n, features), the features as they lie in memory: channels last without a copy."""
    last = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
    return (output.movedim(1, -1) if last else output).flatten(1)


def losses(output, half):
    """Return (the sum of squares that rounding loses, the sum of squares about each feature's mean) as floats.

    output: (n, features) float32; half: the same in float16.
    """
    origin = output[0]  # to subtract it first keeps digits where all values lie far from 0
    sums = torch.zeros(output.shape[1], dtype=torch.float64, device=output.device)
    totals = torch.zeros(2, dtype=torch.float64, device=output.device)
    for values, rounded in zip(in_cache(output), in_cache(half), strict=True):
        error, shifted = (rounded.float() - values).flatten(), values - origin
        sums += shifted.sum(0)
        totals += torch.stack([error @ error, shifted.flatten() @ shifted.flatten()])
    lost, squares = totals.tolist()
    return lost, squares - (sums.square().sum() / len(output)).item()


def in_cache(values):
    """Return (n, features) in pieces of some rows each, for what fits a cache is fast; whole on a GPU."""
    return values.split(len(values) if values.is_cuda else max(1, CACHED // values.shape[1]))
