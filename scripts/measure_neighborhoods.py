#!/usr/bin/env python
"""Measure what neighbor lists tell besides the ID: overlaps with labels, layers and checkpoints, and local IDs."""

import argparse
from pathlib import Path

from actdim import cli
from actdim.errors import UserError
from actdim.measures.neighborhoods import measure_neighborhoods
from actdim.provenance import made_by
from actdim.storage.activations_file import read_labels_and_predictions
from actdim.storage.json_files import write_json
from actdim.storage.neighbor_lists import read_rows_and_lists
from actdim.tables.columns import METRICS_REASON


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--neighbors",
        required=True,
        nargs="+",
        type=Path,
        help="files of find_neighbors.py, one for each layer, from the first to the one that feeds the classifier",
    )
    parser.add_argument("--previous", type=Path, help="that of the last layer at the checkpoint before")
    parser.add_argument("--activations", required=True, type=Path, help="the file in which the neighbors were found")
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    paths = [*arguments.neighbors, *([arguments.previous] if arguments.previous else [])]
    lists, sources, sizes = zip(*map(read_rows_and_lists, paths), strict=True)
    n, labels, predictions = read_labels_and_predictions(arguments.activations)
    for path, size in zip(paths, sizes, strict=True):
        if size != n:
            raise UserError(f"{path}: neighbors of {size} samples; {arguments.activations} has {n}")
    layers, source = lists[: len(arguments.neighbors)], sources[len(arguments.neighbors) - 1]
    previous = lists[-1] if arguments.previous else None
    result = measure_neighborhoods(layers, previous, labels, predictions, source.get(METRICS_REASON))
    about = {"source": source, "made_by": made_by(__file__, settings={}, libraries=("numpy", "h5py"))}
    write_json(arguments.output, {**result, **about})
    print(result)


if __name__ == "__main__":
    cli.run(main)
