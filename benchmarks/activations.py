"""Time a dump of activations against the forward pass alone and the disk alone, and the cost of checksums.

    python benchmarks/activations.py [--folder results]

Each dump computes all layers of a network on random images and writes them as float16. A layer is read as
find_neighbors does, a few columns at a time, from the page cache, with its checksums and without, in turn.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from actdim import plugins, registry
from actdim.activations.dump import dump
from actdim.activations.limits import BATCH
from actdim.datasets.dataset import DataSet, Split
from actdim.datasets.device import normalize, on_device
from actdim.models.layers import forward, layer_names
from actdim.neighbors.exact import column_slices
from actdim.storage import hdf5
from actdim.storage.layer_reader import StoredLayer, float_columns, row_checksums
from actdim.threads import import_numba
from actdim.training.reproducible import keep_memory, make_deterministic

CASES = [  # model settings, images
    ({"name": "resnet18", "width": 64}, 600),
    ({"name": "resnet18", "width": 8}, 5000),
    ({"name": "mlp", "depth": 6, "width": 1024}, 20_000),
]
READ = 10_000, 8192
REPEATS, READINGS = 5, 9
THREADS = 1  # the default of a study
DATA = DataSet(shape=(3, 32, 32), classes=10, sizes={}, load=dict, mean=(0.5,) * 3, std=(0.25,) * 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default=".", help="on the disk to write to")
    arguments = parser.parse_args()
    make_deterministic(THREADS)
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print("| network, images | activations | forward alone | disk alone | dump | slower / dump |")
    print("|---|---|---|---|---|---|")
    for settings, n in CASES:
        size, rows = measure(settings, n, device, arguments.folder)
        ahead, dumping, disk = (statistics.median(column) for column in zip(*rows, strict=True))
        ratio = 100 * statistics.median(max(f, w) / d for f, d, w in rows)
        name = f"{settings['name']}, width {settings['width']}, {n:,}"
        print(f"| {name} | {size / 1e9:.2f} GB | {ahead:.1f} s | {disk:.1f} s | {dumping:.1f} s | {ratio:.0f} % |")
    checked, unchecked = measure_reading(arguments.folder)
    share = 100 * (checked / unchecked - 1)
    size = " x ".join(map(str, READ))
    print(f"\nread {size} float16: {1000 * unchecked:.0f} ms, with its checksums {share:.1f} % more")


def measure(settings, n, device, folder):
    """Return (bytes, [seconds of forward pass, dump and disk]), measured in turn because the machine's speed varies."""
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (n, *DATA.shape)).astype(np.uint8), np.zeros(n, np.int64), np.arange(n))
    samples = on_device(split, DATA, device)
    checked = plugins.check_named(registry.MODELS, settings, "model")
    torch.manual_seed(0)
    model = plugins.build(registry.MODELS, checked, DATA).to(device, memory_format=torch.channels_last)
    layers, rows = layer_names(model, ["all"]), []
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        path = Path(inside) / "activations.h5"
        for _ in range(REPEATS):
            ahead = seconds(compute, model, samples)
            dumping = seconds(dump, path, model, samples, split.index, layers, {})
            size = path.stat().st_size
            path.unlink()
            rows.append((ahead, dumping, seconds(write, path, size)))
            path.unlink()
    return size, rows


def measure_reading(folder):
    """Return the median seconds to read a layer with and without verifying its checksums."""
    values = np.random.default_rng(0).standard_normal(READ, dtype=np.float32).astype(np.float16)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        path = Path(inside) / "activations.h5"
        with hdf5.create_file(path, values.nbytes) as file:
            file["x"] = values
        import_numba()  # as a search does, so that float_columns uses it
        checksums = row_checksums(values)
        with hdf5.open_file(path) as (file, _):
            times = [
                [seconds(read, StoredLayer(path, file["x"], stored)) for stored in (checksums, None)]
                for _ in range(READINGS + 1)
            ]
    return [statistics.median(column) for column in zip(*times[1:], strict=True)]


def read(points):
    """Read all columns of a layer, some at a time."""
    for _ in float_columns(points, column_slices(points.shape)):
        pass


def compute(model, samples):
    """Run the model as a dump does, and keep nothing."""
    for inputs in samples.inputs.split(BATCH):
        forward(model, normalize(inputs, samples), [])
    if samples.inputs.is_cuda:
        torch.cuda.synchronize()


def write(path, size):
    """Write so many bytes to disk, and wait until they are there."""
    block = np.random.default_rng(0).bytes(1 << 24)
    with open(path, "wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: size - start])
        file.flush()
        os.fsync(file.fileno())


def seconds(work, *arguments):
    """Return how long a piece of work takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
