"""Compute the activations of a model's layers, batch by batch, and store them in an HDF5 file.

Three things happen at once: a batch is computed, the one before is written to the file, and what was written earlier is
flushed to the disk. So a dump takes about as long as the slowest of the three (benchmarks/activations.py).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from actdim.activations.float16 import as_float16, as_float32, in_memory_order
from actdim.activations.limits import BATCH, NARROW
from actdim.activations.rounding import add_to_sketch, empty_sketch, rounding_is_harmless
from actdim.datasets.device import normalize
from actdim.models.classifier import classifier_input
from actdim.models.layers import forward
from actdim.names import INPUT
from actdim.storage.activations_file import write_row_checksums
from actdim.storage.atomic import atomic_write
from actdim.storage.hdf5 import FORMAT, create_file, flush_data, reserve_space, write_attributes, write_checksum
from actdim.storage.layer_reader import row_checksums


def dump(path, model, samples, index, layers, attributes, float32=False):
    """Write the activations of a model's layers on all samples to an HDF5 file.

    samples: datasets.device.Samples, on the model's device; index: (n,) the row of each in the data set; layers: names;
    attributes: of the file; float32: store all layers as float32.
    The file has /layers/<layer> (n, features), with the attributes shape (of one sample), depth and feeds_classifier;
    /labels, /logits, /sample_index; and under /checksums the row checksums of every layer and of the logits. A layer is
    float32 if it is narrow, or if rounding is not small compared with its spread (float16.py) or with the distances to
    the nearest neighbors (rounding.py); otherwise it is float16.
    Returns the names of the layers that float16 could not hold, or of all with `float32`. Raises UserError where a
    layer returns anything but a tensor, NoSpace where the disk is full.
    """
    float32_layers = set(layers) if float32 else set()
    with atomic_write(path) as temporary:
        while True:
            with create_file(temporary) as file:
                write_attributes(file, {"format": FORMAT, **attributes})
                write_checksum(file)
                for name, values in (("labels", samples.labels.cpu().numpy()), ("sample_index", index)):
                    file[name] = values
                    write_checksum(file[name], values)
                misfits = write_activations(file, model, samples, layers, float32_layers)
            if not misfits:
                return float32_layers
            float32_layers |= misfits


def write_activations(file, model, samples, layers, float32_layers):
    """Write the layers and logits on all samples to an open file; float32_layers, and narrow ones, as float32.

    Returns the layers that float16 does not hold: at the first batch that has any, or at the end by their sketches. The
    file is then to be written again. Returns an empty set where it is complete.
    """
    n, checksums, sketches = len(samples.labels), {}, {}

    def keep(name, output):
        features = output[0].numel()
        if name in float32_layers or features <= NARROW:
            return as_float32(output)
        sketch = sketches.setdefault(name, empty_sketch(n, features, output.device))
        values = in_memory_order(output).float()
        add_to_sketch(sketch, rows, values)
        return as_float16(output, values)

    edges = np.linspace(0, n, -(-n // BATCH) + 1).astype(int)  # batches of one size, because as_float16 judges each
    with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(1) as flusher:
        for rows in map(slice, edges[:-1], edges[1:]):
            inputs = normalize(samples.inputs[rows], samples)
            logits, outputs = forward(model, inputs, layers, keep)
            misfits = {name for name, batch in outputs.items() if not batch.fits}
            if misfits:
                return misfits
            if rows.start == 0:
                create_data_sets(file, n, logits, outputs, classifier_input(model, inputs[:2]))
                names = ["logits", *(f"layers/{name}" for name in outputs)]
                checksums = {name: np.empty(n, np.uint64) for name in names}
                written = flushed = flusher.submit(flush_data, file)
            written.result()
            if flushed.done():
                flushed.result()  # raises the error of a flush that failed
                flushed = flusher.submit(flush_data, file)
            batches = {f"layers/{name}": batch.values for name, batch in outputs.items()}
            written = writer.submit(write_rows, file, rows, {**batches, "logits": logits.float().cpu()}, checksums)
        written.result()
        flushed.result()
    misfits = {name for name, sketch in sketches.items() if not rounding_is_harmless(sketch)}
    if misfits:
        return misfits
    for name, of_rows in checksums.items():
        write_row_checksums(file[name], of_rows)
    return set()


def create_data_sets(file, n, logits, outputs, read_by_classifier):
    """Create the data sets for n samples, given the logits and the outputs, {layer: StoredBatch}, of a first batch.

    read_by_classifier: the model's ClassifierInput.
    """
    reserve_space(file, n * (4 * logits.shape[1] + sum(batch.values[0].nbytes for batch in outputs.values())))
    file.create_dataset("logits", (n, logits.shape[1]), dtype=np.float32)
    last, why_none = read_by_classifier.among(outputs), read_by_classifier.why_none_among(outputs)
    for depth, (name, batch) in enumerate(outputs.items(), start=INPUT not in outputs):
        dtype = np.float16 if batch.values.dtype == torch.float16 else np.float32
        data = file.create_dataset(f"layers/{name}", (n, batch.values[0].numel()), dtype=dtype)
        about = {"shape": batch.values.shape[1:], "depth": depth, "feeds_classifier": name == last}
        write_attributes(data, {**about, "no_classifier_input": why_none})


def write_rows(file, rows, batches, checksums):
    """Write the rows of a batch to the data sets of a file, and their checksums to arrays.

    batches: {data set: tensor (n, ...)}, which is flattened here in the order of its axes; checksums: {data set: (all
    samples,) uint64}.
    """
    for name, batch in batches.items():
        values = batch.flatten(1).contiguous().numpy()
        file[name].write_direct(values, dest_sel=rows)
        checksums[name][rows] = row_checksums(values)
