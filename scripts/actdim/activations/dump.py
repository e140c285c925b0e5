"""Activations: captured from any model by module name, stored in HDF5 a layer a data set."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from actdim.activations.float16 import as_lying, halve, whole_values
from actdim.activations.limits import BATCH, NARROW
from actdim.activations.rounding import add_to_sketch, empty_sketch, rounding_is_harmless
from actdim.datasets.device import normalize
from actdim.models.layers import forward, listed_layers
from actdim.names import INPUT
from actdim.storage.activations_file import seal_rows
from actdim.storage.atomic import atomic_write
from actdim.storage.hdf5 import FORMAT, create, flush_data, make_room, note, seal
from actdim.storage.layer_reader import row_checksums


def dump(path, model, samples, index, layers, attributes, float32=False):
    """Write the activations of `layers` on `samples` to the HDF5 file `path`, whole or not at all.

    samples: batches.Samples, on the model's device; index: (n,) the row of each in the data set.
    Values are float32 where `float32` says so, in narrow layers, and in those that float16 does not hold (float16.py,
    rounding.py); else float16.
    Layout: /layers/<layer> (n, features) with its original shape, depth and whether it feeds the classifier;
    /labels, /logits, /sample_index; /checksums with the row checksums of every layer and of the logits;
    `attributes` on the file.
    Returns the names of the layers that float16 could not hold, or all with `float32`.
    """
    single = set(layers) if float32 else set()
    with atomic_write(path) as beside:
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

    n, sums, sketches = len(samples.labels), {}, {}

    def keep(name, output):
        features = output[0].numel()
        if name in single or features <= NARROW:
            return whole_values(output)
        sketch = sketches.setdefault(name, empty_sketch(n, features, output.device))
        add_to_sketch(sketch, rows, as_lying(output).float())
        return halve(output)

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
    misfits = {name for name, sketch in sketches.items() if not rounding_is_harmless(sketch)}
    if misfits:
        return misfits
    for name, own in sums.items():
        seal_rows(file[name], own)
    return set()


def prepare(file, n, logits, outputs, model):
    """Create the data sets for n samples, from the logits and the kept outputs of a first batch."""
    make_room(file, n * (4 * logits.shape[1] + sum(kept.values[0].nbytes for kept in outputs.values())))
    file.create_dataset("logits", (n, logits.shape[1]), dtype=np.float32)
    last = (listed_layers(model) or list(outputs))[-1]
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
        sums[name][rows] = row_checksums(flat)
