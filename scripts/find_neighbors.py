#!/usr/bin/env python
"""Find the nearest neighbors of every sample in the activations of one layer."""

import argparse
import contextlib
from pathlib import Path

import numpy as np
from actdim import cli
from actdim.activations.array_files import ARRAY_ENDINGS, load_points
from actdim.neighbors.copies import find_distinct_neighbors
from actdim.neighbors.decimation import decimate
from actdim.neighbors.settings import add_search_options, search_settings
from actdim.provenance import made_by, settings_that_count
from actdim.storage.activations_file import open_layer, rows_by_class
from actdim.storage.atomic import atomic_write
from actdim.storage.hdf5 import create_file
from actdim.storage.neighbor_lists import complete_file, write_lists


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--activations", required=True, type=Path, help="HDF5 of dump_activations.py, or .npy, .npz, .pt, .safetensors"
    )
    parser.add_argument("--layer", help="its layer, or the array's name; not needed in a file with one array")
    add_search_options(parser)
    parser.add_argument("--by-class", action="store_true", help="among the samples of the same class only")
    parser.add_argument("--output", required=True, type=Path, help="the HDF5 file for the lists")
    arguments = parser.parse_args()
    settings = search_settings(arguments)

    with open_points(arguments.activations, arguments.layer) as (points, labels, source):
        classes = (
            rows_by_class(arguments.activations, arguments.layer, labels, len(points)) if arguments.by_class else None
        )
        size = 8 * len(points) * (arguments.k + 2)
        with atomic_write(arguments.output) as temporary, create_file(temporary, size) as file:
            if arguments.by_class:
                for label, rows in classes:
                    write_neighbors(points[rows], rows, file.create_group(f"classes/{label}"), settings)
            else:
                write_neighbors(points, np.arange(len(points)), file, settings)
            complete_file(
                file,
                {
                    "seed": arguments.seed,
                    "source": source,
                    "made_by": made_by(
                        __file__, settings=settings_that_count(settings), libraries=("numpy", "numba", "pynndescent")
                    ),
                },
            )


@contextlib.contextmanager
def open_points(path, layer):
    """Yield (points, labels, source) of a file of activations, or of an array in another file; see open_layer."""
    if path.suffix in ARRAY_ENDINGS:
        yield load_points(path, layer), None, {}
    else:
        with open_layer(path, layer) as opened:
            yield opened


def write_neighbors(points, rows, group, settings):
    """Write the neighbor lists of the distinct points to a group; rows: (n,) where the points are in the layer."""
    print(f"{len(points)} points of {points.shape[1]} features")
    distinct, points, indices, distances, report = find_distinct_neighbors(points, **settings.model_dump())
    print(report)
    write_lists(group, rows[distinct], indices, distances, decimate(points, indices, distances, settings.seed), report)


if __name__ == "__main__":
    cli.run(main)
